output "base_url" {
  description = "Where people and devices find this cell."
  value       = "https://${var.base_domain}"
}

output "repository_url" {
  description = "Where the image of a release is pushed."
  value       = aws_ecr_repository.app.repository_url
}

output "database_endpoint" {
  description = "Host and port of PostgreSQL, for DATABASE_URL."
  value       = aws_db_instance.main.endpoint
}

output "database_admin_secret_arn" {
  description = "Secret with the administrator's password, made and rotated by AWS."
  value       = one(aws_db_instance.main.master_user_secret[*].secret_arn)
}

output "cache_endpoint" {
  description = "Host of Valkey, for VALKEY_URL (rediss://host:6379/0)."
  value       = aws_elasticache_replication_group.main.primary_endpoint_address
}

output "secret_names" {
  description = "Secrets that a person has to fill before the first start."
  value       = sort([for secret in aws_secretsmanager_secret.app : secret.name])
}

output "setup_task" {
  description = "What `aws ecs run-task` needs to migrate before a release."
  value = {
    cluster         = aws_ecs_cluster.main.name
    task_definition = aws_ecs_task_definition.task["setup"].arn
    subnets         = [for subnet in aws_subnet.private : subnet.id]
    security_group  = aws_security_group.tasks.id
  }
}

output "smtp_user" {
  description = "IAM user whose SMTP credentials go into EMAIL_HOST_USER and EMAIL_HOST_PASSWORD."
  value       = aws_iam_user.smtp.name
}
