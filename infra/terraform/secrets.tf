# Empty boxes with names. A person fills them once (README.md); containers are given their
# addresses, never a value, and no state file holds one.

locals {
  secrets = {
    DATABASE_URL          = "postgres://role:password@host:5432/takt of the application's own role"
    MLFLOW_DATABASE_URL   = "postgresql+psycopg://... of MLflow's own database"
    VALKEY_URL            = "rediss://[user:password@]host:6379/0"
    TAKT_SECRET_KEY       = "Signs sessions; 32 random characters or more"
    TAKT_ARTIFACT_KEY     = "Signs model artifacts; 32 random characters or more"
    STRIPE_API_KEY        = "Restricted key of the Stripe account"
    STRIPE_WEBHOOK_SECRET = "Signing secret of the webhook endpoint"
    EMAIL_HOST_USER       = "SMTP user name of SES"
    EMAIL_HOST_PASSWORD   = "SMTP password of SES"
  }
}

resource "aws_secretsmanager_secret" "app" {
  for_each = local.secrets

  name                    = "${local.prefix}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = var.deletion_protection ? 30 : 7
}
