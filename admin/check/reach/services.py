"""What runs code under an IAM role: services that a role can be passed to.

Sources: the IAM user guide ("Grant a user permissions to pass a role to an AWS service"), the
service authorization reference, and pathfinding.cloud, whose names of ways are in the comments. A
service that is not in this table could run anything: then the right to pass the role is enough.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Service:
    """How to act as a role that trusts a service.

    Anyone who can pass the role needs one of the actions in `running`. Those in `changing` need no
    right to pass a role: they change what already runs under a role, or start it with other
    arguments.
    """

    name: str
    running: tuple[str, ...]
    changing: tuple[str, ...] = ()


# A service can have two names: an ECS task also belongs to Batch.
SERVICES: dict[str, Service] = {
    "lambda.amazonaws.com": Service(  # lambda-001 to 006
        name="Lambda",
        running=("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"),
        changing=("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    ),
    "edgelambda.amazonaws.com": Service(
        name="Lambda@Edge",
        running=("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"),
        changing=("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    ),
    "ec2.amazonaws.com": Service(  # ec2-001 to 005, ssm-001 to 003, codedeploy-001, emr-001
        name="EC2",
        running=(
            "ec2:RunInstances",
            "ec2:RequestSpotInstances",
            "ec2:RequestSpotFleet",
            "ec2:CreateFleet",
            "ec2:CreateLaunchTemplate",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:AssociateIamInstanceProfile",
            "ec2:ReplaceIamInstanceProfileAssociation",
            "autoscaling:CreateAutoScalingGroup",
            "autoscaling:CreateLaunchConfiguration",
            "autoscaling:UpdateAutoScalingGroup",
            "batch:CreateComputeEnvironment",
            "elasticmapreduce:RunJobFlow",
            "imagebuilder:CreateInfrastructureConfiguration",
            "imagebuilder:UpdateInfrastructureConfiguration",
            "elasticbeanstalk:CreateEnvironment",
            "elasticbeanstalk:UpdateEnvironment",
            "datapipeline:PutPipelineDefinition",
            "iam:AddRoleToInstanceProfile",
        ),
        changing=(
            "ssm:SendCommand",
            "ssm:StartSession",
            "ssm:ResumeSession",
            "ssm:StartAutomationExecution",
            "ssm:CreateAssociation",
            "ssm:CreateAssociationBatch",
            "ssm:UpdateAssociation",
            "ssm:UpdateDocument",
            "ssm:RegisterTaskWithMaintenanceWindow",
            "ssm:UpdateMaintenanceWindowTask",
            "ec2-instance-connect:SendSSHPublicKey",
            "ec2-instance-connect:SendSerialConsoleSSHPublicKey",
            "ec2:AttachVolume",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:CreateReplaceRootVolumeTask",
            "ec2:ModifyInstanceAttribute",
            "codedeploy:CreateDeployment",
            "elasticmapreduce:AddJobFlowSteps",
            "elasticbeanstalk:UpdateEnvironment",
            "imagebuilder:StartImagePipelineExecution",
            "ecs:ExecuteCommand",
            "ecs:RegisterTaskDefinition",
            "eks:CreateAccessEntry",
            "eks:UpdateAccessEntry",
        ),
    ),
    "ecs-tasks.amazonaws.com": Service(  # ecs-001 to 009, batch-001 to 003
        name="ECS",
        running=(
            "ecs:RegisterTaskDefinition",
            "ecs:RunTask",
            "ecs:StartTask",
            "ecs:CreateService",
            "ecs:UpdateService",
            "ecs:CreateTaskSet",
            "batch:RegisterJobDefinition",
            "scheduler:CreateSchedule",
            "events:PutTargets",
        ),
        changing=(
            "ecs:ExecuteCommand",
            "batch:SubmitJob",
            "codedeploy:CreateDeployment",
        ),
    ),
    "cloudformation.amazonaws.com": Service(  # cloudformation-001 to 005
        name="CloudFormation",
        running=(
            "cloudformation:CreateStack",
            "cloudformation:UpdateStack",
            "cloudformation:CreateChangeSet",
            "cloudformation:CreateStackSet",
            "cloudformation:UpdateStackSet",
        ),
        changing=(
            "cloudformation:UpdateStack",
            "cloudformation:CreateChangeSet",
            "cloudformation:UpdateStackSet",
            "cloudformation:CreateStackInstances",
        ),
    ),
    "codebuild.amazonaws.com": Service(  # codebuild-001 to 004
        name="CodeBuild",
        running=("codebuild:CreateProject", "codebuild:UpdateProject"),
        changing=(
            "codebuild:StartBuild",
            "codebuild:StartBuildBatch",
            "codebuild:StartCommandExecution",
            "codebuild:StartSandbox",
            "codebuild:UpdateProject",
        ),
    ),
    "codepipeline.amazonaws.com": Service(
        name="CodePipeline",
        running=("codepipeline:CreatePipeline", "codepipeline:UpdatePipeline"),
        changing=("codepipeline:UpdatePipeline",),
    ),
    "codedeploy.amazonaws.com": Service(
        name="CodeDeploy",
        running=("codedeploy:CreateDeploymentGroup", "codedeploy:UpdateDeploymentGroup"),
        changing=("codedeploy:CreateDeployment",),
    ),
    "glue.amazonaws.com": Service(  # glue-001 to 007
        name="Glue",
        running=(
            "glue:CreateJob",
            "glue:UpdateJob",
            "glue:CreateDevEndpoint",
            "glue:CreateSession",
            "glue:CreateCrawler",
            "glue:UpdateCrawler",
            "glue:CreateMLTransform",
        ),
        changing=(
            "glue:UpdateDevEndpoint",
            "glue:UpdateJob",
            "glue:UpdateJobFromSourceControl",
            "glue:RunStatement",
            "glue:StartJobRun",
        ),
    ),
    "sagemaker.amazonaws.com": Service(  # sagemaker-001 to 005
        name="SageMaker",
        running=(
            "sagemaker:CreateAutoMLJob",
            "sagemaker:CreateAutoMLJobV2",
            "sagemaker:CreateCluster",
            "sagemaker:CreateDomain",
            "sagemaker:CreateHyperParameterTuningJob",
            "sagemaker:CreateModel",
            "sagemaker:CreateNotebookInstance",
            "sagemaker:CreatePipeline",
            "sagemaker:CreateProcessingJob",
            "sagemaker:CreateTrainingJob",
            "sagemaker:CreateUserProfile",
            "sagemaker:UpdateDomain",
            "sagemaker:UpdateNotebookInstance",
            "sagemaker:UpdatePipeline",
            "sagemaker:UpdateUserProfile",
        ),
        changing=(
            "sagemaker:CreatePresignedDomainUrl",
            "sagemaker:CreatePresignedNotebookInstanceUrl",
            "sagemaker:CreateNotebookInstanceLifecycleConfig",
            "sagemaker:UpdateNotebookInstanceLifecycleConfig",
            "sagemaker:StartSession",
            "sagemaker:UpdateNotebookInstance",
            "sagemaker:UpdatePipeline",
        ),
    ),
    "states.amazonaws.com": Service(
        name="Step Functions",
        running=("states:CreateStateMachine", "states:UpdateStateMachine", "states:TestState"),
        changing=("states:UpdateStateMachine",),
    ),
    "scheduler.amazonaws.com": Service(
        name="EventBridge Scheduler",
        running=("scheduler:CreateSchedule", "scheduler:UpdateSchedule"),
    ),
    "events.amazonaws.com": Service(
        name="EventBridge",
        running=("events:PutTargets", "events:PutRule", "events:CreateEventBus"),
    ),
    "pipes.amazonaws.com": Service(
        name="EventBridge Pipes",
        running=("pipes:CreatePipe", "pipes:UpdatePipe"),
        changing=("pipes:UpdatePipe",),
    ),
    "tasks.apprunner.amazonaws.com": Service(  # apprunner-001 and 002
        name="App Runner",
        running=("apprunner:CreateService", "apprunner:UpdateService"),
        changing=("apprunner:UpdateService", "apprunner:StartDeployment"),
    ),
    "batch.amazonaws.com": Service(
        name="Batch",
        running=("batch:CreateComputeEnvironment", "batch:UpdateComputeEnvironment"),
    ),
    "ssm.amazonaws.com": Service(
        name="Systems Manager",
        running=(
            "ssm:StartAutomationExecution",
            "ssm:StartChangeRequestExecution",
            "ssm:CreateActivation",
            "ssm:CreateAssociation",
            "ssm:CreateAssociationBatch",
            "ssm:UpdateAssociation",
            "ssm:CreateDocument",
            "ssm:UpdateDocument",
            "ssm:RegisterTaskWithMaintenanceWindow",
            "ssm:UpdateMaintenanceWindowTask",
            "ssm:UpdateManagedInstanceRole",
        ),
        changing=(
            "ssm:SendCommand",
            "ssm:StartSession",
            "ssm:ResumeSession",
            "ssm:StartAutomationExecution",
            "ssm:UpdateAssociation",
            "ssm:UpdateDocument",
            "ssm:UpdateMaintenanceWindowTask",
        ),
    ),
    "elasticmapreduce.amazonaws.com": Service(
        name="EMR",
        running=("elasticmapreduce:RunJobFlow", "elasticmapreduce:CreateStudio"),
    ),
    "emr-serverless.amazonaws.com": Service(  # emrserverless-001
        name="EMR Serverless",
        running=("emr-serverless:StartJobRun",),
        changing=("emr-serverless:AccessInteractiveEndpoints",),
    ),
    "bedrock-agentcore.amazonaws.com": Service(  # bedrock-001 to 007
        name="Bedrock AgentCore",
        running=(
            "bedrock-agentcore:CreateAgentRuntime",
            "bedrock-agentcore:CreateBrowser",
            "bedrock-agentcore:CreateCodeInterpreter",
            "bedrock-agentcore:CreateGateway",
            "bedrock-agentcore:UpdateAgentRuntime",
            "bedrock-agentcore:UpdateGateway",
        ),
        changing=(
            "bedrock-agentcore:InvokeAgentRuntimeCommand",
            "bedrock-agentcore:InvokeCodeInterpreter",
            "bedrock-agentcore:UpdateAgentRuntime",
        ),
    ),
    "amplify.amazonaws.com": Service(
        name="Amplify",
        running=("amplify:CreateApp", "amplify:UpdateApp", "amplify:CreateBranch"),
        changing=("amplify:UpdateApp", "amplify:UpdateBranch", "amplify:CreateBranch"),
    ),
    "rolesanywhere.amazonaws.com": Service(
        name="IAM Roles Anywhere",
        running=("rolesanywhere:CreateProfile", "rolesanywhere:UpdateProfile"),
        changing=("rolesanywhere:CreateTrustAnchor", "rolesanywhere:UpdateTrustAnchor"),
    ),
    "pods.eks.amazonaws.com": Service(
        name="EKS",
        running=("eks:CreatePodIdentityAssociation", "eks:UpdatePodIdentityAssociation"),
        changing=("eks:CreateAccessEntry", "eks:UpdateAccessEntry", "eks:AssociateAccessPolicy"),
    ),
    "credentials.iot.amazonaws.com": Service(
        name="AWS IoT",
        running=("iot:CreateRoleAlias", "iot:UpdateRoleAlias"),
        changing=("iot:AttachPolicy", "iot:AttachPrincipalPolicy", "iot:CreatePolicyVersion"),
    ),
    "servicecatalog.amazonaws.com": Service(
        name="Service Catalog",
        running=("servicecatalog:CreateConstraint", "servicecatalog:UpdateConstraint"),
        changing=(
            "servicecatalog:CreateProvisioningArtifact",
            "servicecatalog:UpdateProvisioningArtifact",
        ),
    ),
    "athena.amazonaws.com": Service(
        name="Athena",
        running=("athena:CreateWorkGroup", "athena:UpdateWorkGroup"),
        changing=("athena:StartSession", "athena:StartCalculationExecution"),
    ),
    "airflow-env.amazonaws.com": Service(
        name="Managed Airflow",
        running=("airflow:CreateEnvironment", "airflow:UpdateEnvironment"),
        changing=("airflow:CreateCliToken", "airflow:CreateWebLoginToken"),
    ),
    "datapipeline.amazonaws.com": Service(
        name="Data Pipeline",
        running=("datapipeline:PutPipelineDefinition",),
        changing=("datapipeline:PutPipelineDefinition",),
    ),
    "gamelift.amazonaws.com": Service(  # gamelift-001
        name="GameLift",
        running=("gamelift:CreateFleet", "gamelift:CreateContainerFleet"),
        changing=("gamelift:GetComputeAccess", "gamelift:GetInstanceAccess"),
    ),
    "braket.amazonaws.com": Service(name="Braket", running=("braket:CreateJob",)),
    "omics.amazonaws.com": Service(name="HealthOmics", running=("omics:StartRun",)),
    "kinesisanalytics.amazonaws.com": Service(
        name="Managed Flink",
        running=("kinesisanalytics:CreateApplication",),
        changing=("kinesisanalytics:UpdateApplication",),
    ),
}
