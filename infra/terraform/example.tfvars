environment  = "staging"
base_domain  = "staging.takt.example"
zone_id      = "Z0123456789EXAMPLE"
image        = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/takt-staging@sha256:0000000000000000000000000000000000000000000000000000000000000000"
alarm_emails = ["ops@takt.example"]

# Smaller than production.
nat_per_zone            = false
database_instance_class = "db.t4g.medium"
database_multi_zone     = false
cache_nodes             = 1
deletion_protection     = false
