# Who may speak to whom: world -> load balancer -> servers; all tasks -> database, cache, endpoints.

resource "aws_security_group" "load_balancer" {
  name_prefix = "${local.prefix}-alb-"
  description = "The load balancer"
  vpc_id      = aws_vpc.main.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "tasks" {
  name_prefix = "${local.prefix}-tasks-"
  description = "All containers"
  vpc_id      = aws_vpc.main.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "database" {
  name_prefix = "${local.prefix}-database-"
  description = "PostgreSQL"
  vpc_id      = aws_vpc.main.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "cache" {
  name_prefix = "${local.prefix}-cache-"
  description = "Valkey"
  vpc_id      = aws_vpc.main.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "endpoints" {
  name_prefix = "${local.prefix}-endpoints-"
  description = "Interface endpoints of AWS services"
  vpc_id      = aws_vpc.main.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "world" {
  for_each = toset(["80", "443"])

  security_group_id = aws_security_group.load_balancer.id
  description       = "Browsers and devices"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "load_balancer_to_tasks" {
  security_group_id            = aws_security_group.load_balancer.id
  description                  = "Servers"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.device_port
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_vpc_security_group_ingress_rule" "tasks_from_load_balancer" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "Load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.device_port
  referenced_security_group_id = aws_security_group.load_balancer.id
}

# S3, Stripe and the interface endpoints; mail goes to the submission port.
resource "aws_vpc_security_group_egress_rule" "tasks_out" {
  for_each = { https = 443, mail = 587 }

  security_group_id = aws_security_group.tasks.id
  description       = "Outgoing ${each.key}"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "tasks_to_data" {
  for_each = {
    database = { group = aws_security_group.database.id, port = 5432 }
    cache    = { group = aws_security_group.cache.id, port = 6379 }
  }

  security_group_id            = aws_security_group.tasks.id
  description                  = "To the ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.group
}

resource "aws_vpc_security_group_ingress_rule" "data_from_tasks" {
  for_each = {
    database  = { group = aws_security_group.database.id, port = 5432 }
    cache     = { group = aws_security_group.cache.id, port = 6379 }
    endpoints = { group = aws_security_group.endpoints.id, port = 443 }
  }

  security_group_id            = each.value.group
  description                  = "Containers"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.tasks.id
}
