resource "aws_cloudwatch_log_group" "task" {
  for_each = local.tasks

  name              = "/${local.prefix}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/${local.prefix}/rejected-traffic"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.prefix}-alarms"
  kms_master_key_id = aws_kms_key.main.id
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  load_balancer = { LoadBalancer = aws_lb.main.arn_suffix }
  database      = { DBInstanceIdentifier = aws_db_instance.main.identifier }

  # Each says what a customer would notice next.
  alarms = merge(
    {
      "errors-of-load-balancer" = {
        says       = "The load balancer itself answers 5xx: no server takes requests."
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_ELB_5XX_Count"
        statistic  = "Sum"
        above      = true
        limit      = 10
        dimensions = local.load_balancer
      }
      "errors-of-servers" = {
        says       = "Servers answer 5xx."
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_Target_5XX_Count"
        statistic  = "Sum"
        above      = true
        limit      = 25
        dimensions = local.load_balancer
      }
      "database-cpu" = {
        says       = "The database is short of processors."
        namespace  = "AWS/RDS"
        metric     = "CPUUtilization"
        statistic  = "Average"
        above      = true
        limit      = 80
        dimensions = local.database
      }
      "database-connections" = {
        says       = "The database runs out of connections."
        namespace  = "AWS/RDS"
        metric     = "DatabaseConnections"
        statistic  = "Maximum"
        above      = true
        limit      = 600
        dimensions = local.database
      }
      "database-disk" = {
        says       = "The database runs out of disk."
        namespace  = "AWS/RDS"
        metric     = "FreeStorageSpace"
        statistic  = "Minimum"
        above      = false
        limit      = 10 * 1024 * 1024 * 1024
        dimensions = local.database
      }
    },
    {
      for n in range(1, var.cache_nodes + 1) : "cache-memory-${n}" => {
        says       = "A Valkey node runs out of memory and will refuse to write."
        namespace  = "AWS/ElastiCache"
        metric     = "DatabaseMemoryUsagePercentage"
        statistic  = "Maximum"
        above      = true
        limit      = 80
        dimensions = { CacheClusterId = format("%s-%03d", local.prefix, n) }
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "figure" {
  for_each = local.alarms

  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.limit
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A device is promised its acknowledgement within 250 ms, 99 times of 100.
resource "aws_cloudwatch_metric_alarm" "acknowledgement" {
  alarm_name          = "${local.prefix}-acknowledgement-p99"
  alarm_description   = "Devices wait more than 250 ms for their acknowledgement."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  extended_statistic  = "p99"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0.25
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  dimensions = {
    LoadBalancer = aws_lb.main.arn_suffix
    TargetGroup  = aws_lb_target_group.server["ingest"].arn_suffix
  }
}

resource "aws_cloudwatch_metric_alarm" "no_task" {
  for_each = toset(concat(keys(local.scaled), ["alarms", "beat"]))

  alarm_name          = "${local.prefix}-${each.key}-down"
  alarm_description   = "Not one ${each.key} task is running."
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  dimensions = {
    ClusterName = aws_ecs_cluster.main.name
    ServiceName = each.key
  }
}
