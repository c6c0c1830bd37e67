"""What ships to Lambda: the policy, and the promotion of uploads into the vault."""
