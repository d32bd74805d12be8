resource "aws_ecs_cluster" "main" {
  name = local.prefix

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "task" {
  for_each = local.tasks

  family                   = "${local.prefix}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.value.role].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  # The only places a container may write to; gone with it.
  volume {
    name = "tmp"
  }

  volume {
    name = "var"
  }

  container_definitions = jsonencode([{
    name                   = each.key
    image                  = var.image
    command                = each.value.command
    essential              = true
    readonlyRootFilesystem = true
    user                   = "10001:10001"
    # Celery finishes what it runs; granian lets requests end.
    stopTimeout = 110

    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
    }

    environment = [for name, value in local.environment : { name = name, value = value }]
    secrets     = [for name, secret in aws_secretsmanager_secret.app : { name = name, valueFrom = secret.arn }]

    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "var", containerPath = "/var/lib/takt", readOnly = false },
    ]

    portMappings = each.value.serves ? [for port in values(local.ports) : { containerPort = port, protocol = "tcp" }] : []

    # The load balancer cannot send a Host that Takt knows; this check can.
    healthCheck = each.value.serves ? {
      command = [
        "CMD", "python", "-c",
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', ${lookup(local.ports, each.key, local.port)}, timeout=4); c.request('GET', '/health', headers={'Host': '${var.base_domain}', 'X-Forwarded-Proto': 'https'}); raise SystemExit(c.getresponse().status != 200)",
      ]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 60
    } : null

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.task[each.key].name
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
      }
    }
  }])
}

resource "aws_ecs_service" "server" {
  for_each = var.servers

  name            = each.key
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.task[each.key].arn
  desired_count   = each.value.least
  launch_type     = "FARGATE"

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 90

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.server[each.key].arn
    container_name   = each.key
    container_port   = local.ports[each.key]
  }

  # The number of tasks belongs to scaling.tf from the first minute on.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy.execution]
}

resource "aws_ecs_service" "worker" {
  for_each = var.workers

  name            = "worker-${each.key}"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.task["worker-${each.key}"].arn
  desired_count   = each.value.least
  launch_type     = "FARGATE"

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.execution]
}

# One, never two: a release stops the old clock before it starts the new one.
resource "aws_ecs_service" "beat" {
  name            = "beat"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.task["beat"].arn
  desired_count   = 1
  launch_type     = "FARGATE"

  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  depends_on = [aws_iam_role_policy.execution]
}

# Two, one of which stands by: a lease in the database says who watches.
resource "aws_ecs_service" "alarms" {
  name            = "alarms"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.task["alarms"].arn
  desired_count   = 2
  launch_type     = "FARGATE"

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  depends_on = [aws_iam_role_policy.execution]
}
