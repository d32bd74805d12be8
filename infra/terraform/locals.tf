data "aws_availability_zones" "available" {
  state = "available"
}

data "aws_caller_identity" "current" {}

locals {
  prefix = "${var.name}-${var.environment}"
  zones  = slice(data.aws_availability_zones.available.names, 0, var.zone_count)

  tags = {
    Product     = "takt"
    Cell        = local.prefix
    Environment = var.environment
    ManagedBy   = "terraform"
  }

  port = 8000
  # The same processes listen for devices alone (docs/adr/0013); the service ingest is reached here.
  device_port = 8001
  ports       = { web = local.port, ingest = local.device_port }

  # What every container is told; secrets come by reference (secrets.tf).
  environment = {
    DO_NOT_TRACK             = "true"
    EMAIL_HOST               = "email-smtp.${var.region}.amazonaws.com"
    EMAIL_PORT               = "587"
    MLFLOW_DISABLE_TELEMETRY = "true"
    S3_BUCKET                = aws_s3_bucket.objects.id
    S3_ENCRYPTION            = "aws:kms"
    S3_ENDPOINT_URL          = "https://s3.${var.region}.amazonaws.com"
    S3_REGION                = var.region
    STRIPE_API_BASE          = "https://api.stripe.com"
    TAKT_BASE_URL            = "https://${var.base_domain}"
    TAKT_BEHIND_PROXY        = "1"
    TAKT_DEVICE_ADDRESS      = "0.0.0.0:${local.device_port}"
    TAKT_MAIL_FROM           = "Takt <${var.mail_from}@${var.base_domain}>"
    TAKT_VAR                 = "/var/lib/takt"
  }

  server = [
    "granian", "--interface", "rsgi", "--host", "0.0.0.0", "--port", tostring(local.port),
    "--workers", "2", "--respawn-failed-workers", "--no-ws", "--backlog", "2048",
    "--workers-kill-timeout", "30s", "config.rsgi:application",
  ]

  # Every kind of task: what it runs, its size, and which role it plays towards other services.
  tasks = merge(
    {
      for name, size in var.servers : name => {
        command = local.server
        cpu     = size.cpu
        memory  = size.memory
        role    = name
        serves  = true
      }
    },
    {
      for queue, size in var.workers : "worker-${queue}" => {
        command = [
          "celery", "-A", "config", "worker", "-Q", queue, "-c", tostring(size.processes),
          "-n", "${queue}@%h", "--loglevel", "INFO",
        ]
        cpu    = size.cpu
        memory = size.memory
        role   = "worker"
        serves = false
      }
    },
    {
      beat = {
        command = ["celery", "-A", "config", "beat", "--schedule", "/tmp/schedule", "--loglevel", "INFO"]
        cpu     = 256
        memory  = 512
        role    = "beat"
        serves  = false
      }
      # Watches readings for alarms. It touches no object, like beat.
      alarms = {
        command = ["python", "manage.py", "watch_alarms"]
        cpu     = 512
        memory  = 1024
        role    = "beat"
        serves  = false
      }
      # Run once per release, before the services change (README.md).
      setup = {
        command = ["python", "manage.py", "setup"]
        cpu     = 1024
        memory  = 2048
        role    = "worker"
        serves  = false
      }
    },
  )
}
