# By processor load; queue lengths are not published as a metric yet.

locals {
  scaled = merge(
    { for name, size in var.servers : name => { least = size.least, most = size.most, load = 55 } },
    { for queue, size in var.workers : "worker-${queue}" => { least = size.least, most = size.most, load = 70 } },
  )
}

resource "aws_appautoscaling_target" "service" {
  for_each = local.scaled

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${each.key}"
  min_capacity       = each.value.least
  max_capacity       = each.value.most

  depends_on = [aws_ecs_service.server, aws_ecs_service.worker]
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = local.scaled

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.service[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.service[each.key].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.load
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
