"""IAM and STS actions that no table here lists: each could be a new way to act as someone else."""

from functools import cache

from admin.check.people.patterns import overlaps
from admin.check.people.rights import Policy
from admin.desired.permissions import as_list, statements

# Every existing action of both services that `steps` and `changes` evaluate, or with which nobody
# can act as another principal. For actions that only read, tag or remove, the verbs are enough.
KNOWN = (
    *(f"iam:{verb}*" for verb in ("Get", "List", "Generate", "Simulate", "Tag", "Untag", "Upload")),
    *(f"iam:{verb}*" for verb in ("Delete", "Detach", "Remove", "Reject", "Disable", "Deactivate")),
    *(f"iam:Attach{what}Policy" for what in ("Group", "Role", "User")),
    *(f"iam:Put{what}Policy" for what in ("Group", "Role", "User")),
    *(f"iam:Put{what}PermissionsBoundary" for what in ("Role", "User")),
    *(
        f"iam:Create{what}"
        for what in (
            "AccessKey",
            "AccountAlias",
            "DelegationRequest",
            "Group",
            "InstanceProfile",
            "LoginProfile",
            "OpenIDConnectProvider",
            "Policy",
            "PolicyVersion",
            "Role",
            "SAMLProvider",
            "ServiceLinkedRole",
            "ServiceSpecificCredential",
            "User",
            "VirtualMFADevice",
        )
    ),
    *(
        f"iam:Update{what}"
        for what in (
            "AccessKey",
            "AccountEmailAddress",
            "AccountName",
            "AccountPasswordPolicy",
            "AssumeRolePolicy",
            "CloudFrontPublicKey",
            "Group",
            "LoginProfile",
            "OpenIDConnectProviderThumbprint",
            "Role",
            "RoleDescription",
            "SAMLProvider",
            "SSHPublicKey",
            "ServerCertificate",
            "ServiceSpecificCredential",
            "SigningCertificate",
            "User",
        )
    ),
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:AddRoleToInstanceProfile",
    "iam:AddUserToGroup",
    "iam:ChangePassword",
    "iam:EnableMFADevice",
    "iam:EnableOrganizationsRootCredentialsManagement",
    "iam:EnableOrganizationsRootSessions",
    "iam:EnableOutboundWebIdentityFederation",
    "iam:PassRole",
    "iam:PutAccountProperties",
    "iam:ResetServiceSpecificCredential",
    "iam:ResyncMFADevice",
    "iam:SetDefaultPolicyVersion",
    "iam:SetSTSRegionalEndpointStatus",
    "iam:SetSecurityTokenServicePreferences",
    # Temporary rights of a product: nobody can delegate more than their own.
    "iam:AcceptDelegationRequest",
    "iam:AssociateDelegationRequest",
    "iam:SendDelegationToken",
    "sts:AssumeRole*",
    "sts:AssumeRoot",
    "sts:DecodeAuthorizationMessage",
    "sts:Get*",
    "sts:Set*",
    "sts:Tag*",
)


@cache
def unknown_actions(policy: Policy) -> tuple[str, ...]:
    """The unknown actions of IAM and STS that a policy allows by name."""
    named = (
        str(action)
        for statement in statements(policy.document)
        if statement["Effect"] == "Allow"
        for action in as_list(statement.get("Action", []))
    )
    return tuple(dict.fromkeys(action for action in named if _is_unknown(action)))


def _is_unknown(action: str) -> bool:
    name = action.lower()
    return name.startswith(("iam:", "sts:")) and not any(
        overlaps(known.lower(), name) for known in KNOWN
    )
