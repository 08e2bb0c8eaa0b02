"""Names of labels and tags by which senders say whose something is and how bad it is: Prometheus', OpenTelemetry's, and those of AWS tags."""

SERVICE = ("service", "service_name", "service.name", "app", "application", "app_kubernetes_io_name")
"""By which a team names its own service."""
ENVIRONMENT = (
    "environment", "env", "stage", "deployment_environment", "deployment.environment", "deployment_environment_name",
    "deployment.environment.name",
)  # fmt: skip
SEVERITY = ("severity", "priority", "level", "criticality")
