# What must not be accepted is refused before anything is planned.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    }
  }

  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    }
  }

  mock_resource "aws_ses_domain_dkim" {
    defaults = {
      dkim_tokens = ["one", "two", "three"]
    }
  }
}

variables {
  environment = "production"
  base_domain = "takt.example"
  zone_id     = "Z0123456789EXAMPLE"
  image       = "example@sha256:1111111111111111111111111111111111111111111111111111111111111111"
}

run "a_tag_is_no_image" {
  command         = plan
  expect_failures = [var.image]

  variables {
    image = "example:latest"
  }
}

run "an_unknown_environment" {
  command         = plan
  expect_failures = [var.environment]

  variables {
    environment = "test"
  }
}

run "a_name_too_long_for_a_load_balancer" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "takt-of-the-north"
  }
}

run "an_address_is_no_host" {
  command         = plan
  expect_failures = [var.base_domain]

  variables {
    base_domain = "https://takt.example"
  }
}

run "a_network_too_small" {
  command         = plan
  expect_failures = [var.vpc_cidr]

  variables {
    vpc_cidr = "10.0.0.0/24"
  }
}

run "one_zone_is_not_enough" {
  command         = plan
  expect_failures = [var.zone_count]

  variables {
    zone_count = 1
  }
}

run "an_old_database" {
  command         = plan
  expect_failures = [var.database_major_version]

  variables {
    database_major_version = 14
  }
}

run "a_queue_without_a_worker" {
  command         = plan
  expect_failures = [var.workers]

  variables {
    workers = {
      default = { cpu = 512, memory = 2048, processes = 2, least = 1, most = 4 }
    }
  }
}

run "backups_for_a_day_only" {
  command         = plan
  expect_failures = [var.database_backup_days]

  variables {
    database_backup_days = 1
  }
}
