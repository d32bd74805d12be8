# Runs without an account: `terraform test`. The mocked provider makes up what AWS would answer;
# where a made-up value must have a certain form, the form is given here.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    }
  }

  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "123456789012"
    }
  }

  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    }
  }

  mock_resource "aws_kms_key" {
    defaults = {
      arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    }
  }

  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::123456789012:role/mock"
    }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock"
    }
  }

  mock_resource "aws_secretsmanager_secret" {
    defaults = {
      arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mock"
    }
  }

  mock_resource "aws_sns_topic" {
    defaults = {
      arn = "arn:aws:sns:eu-central-1:123456789012:mock"
    }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/mock/0"
    }
  }

  mock_resource "aws_lb_listener" {
    defaults = {
      arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/mock/0/0"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = {
      arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/mock/0"
    }
  }

  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:eu-central-1:123456789012:certificate/mock"
      domain_validation_options = [{
        domain_name           = "takt.example"
        resource_record_name  = "_proof.takt.example"
        resource_record_type  = "CNAME"
        resource_record_value = "proof.acm.example"
      }]
    }
  }

  mock_resource "aws_acm_certificate_validation" {
    defaults = {
      certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/mock"
    }
  }

  mock_resource "aws_ecs_cluster" {
    defaults = {
      arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/mock"
    }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = {
      arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/mock:1"
    }
  }

  mock_resource "aws_sesv2_email_identity" {
    defaults = {
      arn = "arn:aws:ses:eu-central-1:123456789012:identity/takt.example"
    }
  }

  mock_resource "aws_ses_domain_dkim" {
    defaults = {
      dkim_tokens = ["one", "two", "three"]
    }
  }

  mock_resource "aws_db_instance" {
    defaults = {
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds" }]
    }
  }
}

variables {
  environment = "production"
  base_domain = "takt.example"
  zone_id     = "Z0123456789EXAMPLE"
  image       = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/takt-production@sha256:1111111111111111111111111111111111111111111111111111111111111111"
}

run "nothing_kept_is_open_or_in_the_clear" {
  command = apply

  assert {
    condition = alltrue([
      for block in aws_s3_bucket_public_access_block.all :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ]) && length(aws_s3_bucket_public_access_block.all) == 2
    error_message = "Every bucket must block public access."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.objects.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "Objects must be encrypted with the cell's key."
  }

  assert {
    condition     = aws_db_instance.main.storage_encrypted && !aws_db_instance.main.publicly_accessible
    error_message = "The database must be encrypted and private."
  }

  assert {
    condition     = aws_elasticache_replication_group.main.transit_encryption_enabled && tobool(aws_elasticache_replication_group.main.at_rest_encryption_enabled)
    error_message = "Valkey must be encrypted on the wire and at rest."
  }

  assert {
    condition     = aws_kms_key.main.enable_key_rotation
    error_message = "The key must be rotated."
  }
}

run "no_secret_is_in_the_state" {
  command = apply

  assert {
    condition     = aws_db_instance.main.manage_master_user_password && aws_db_instance.main.password == null
    error_message = "The administrator's password must be made and kept by AWS."
  }

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.task : alltrue([
        for name in keys(aws_secretsmanager_secret.app) :
        !contains([for variable in jsondecode(task.container_definitions)[0].environment : variable.name], name)
      ])
    ])
    error_message = "A secret must be given by reference, not as a plain variable."
  }

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.task : alltrue([
        for secret in jsondecode(task.container_definitions)[0].secrets :
        startswith(secret.valueFrom, "arn:aws:secretsmanager:")
      ])
    ])
    error_message = "Containers must be given addresses of secrets."
  }
}

run "durability_is_not_traded" {
  command = apply

  assert {
    condition = contains(
      [for parameter in aws_db_parameter_group.main.parameter : "${parameter.name}=${parameter.value}"],
      "synchronous_commit=on",
    )
    error_message = "synchronous_commit must be on."
  }

  assert {
    condition     = aws_db_instance.main.deletion_protection && aws_db_instance.main.multi_az && aws_db_instance.main.backup_retention_period >= 7
    error_message = "Production keeps a standby, backups and a lock against deletion."
  }
}

run "devices_and_browsers_reach_different_servers" {
  command = apply

  assert {
    condition     = tolist(aws_lb_listener_rule.ingest.condition)[0].path_pattern[0].values == toset(["/api/v1/telemetry", "/api/v2/write"])
    error_message = "The paths of devices must be routed to ingest."
  }

  assert {
    condition     = aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && aws_lb_listener.http.default_action[0].type == "redirect"
    error_message = "Plain HTTP must be redirected to TLS 1.2 or newer."
  }

  assert {
    condition     = !contains(keys(aws_iam_role_policy.objects), "ingest") && !contains(keys(aws_iam_role_policy.objects), "beat")
    error_message = "Ingest and beat must not reach objects."
  }
}

run "one_clock_and_a_worker_for_each_queue" {
  command = apply

  assert {
    condition     = aws_ecs_service.beat.desired_count == 1 && aws_ecs_service.beat.deployment_maximum_percent == 100
    error_message = "There must never be two clocks."
  }

  assert {
    condition     = aws_ecs_service.alarms.desired_count == 2
    error_message = "Somebody has to stand by when the watcher of alarms dies."
  }

  assert {
    condition     = toset(keys(aws_ecs_service.worker)) == toset(["default", "learn", "plan"])
    error_message = "Every queue needs a worker."
  }
}

run "a_zone_less_a_gateway_less" {
  command = apply

  variables {
    zone_count   = 3
    nat_per_zone = false
  }

  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_nat_gateway.main) == 1
    error_message = "Three zones may share one NAT gateway."
  }
}
