# -- the cell -----------------------------------------------------------------------------------

variable "name" {
  description = "Name of this cell; the first part of every resource's name."
  type        = string
  default     = "takt"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "name must be 3-12 lower-case letters, digits or hyphens, beginning with a letter."
  }
}

variable "environment" {
  description = "What the cell is for; part of every name and tag."
  type        = string

  validation {
    condition     = contains(["production", "staging"], var.environment)
    error_message = "environment must be production or staging."
  }
}

variable "region" {
  description = "AWS region of the cell."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[1-9]$", var.region))
    error_message = "region must look like eu-central-1."
  }
}

variable "image" {
  description = "Container image of Takt, pinned by digest (repository@sha256:...)."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must be pinned by its digest: a tag may change under a running service."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database, the load balancer and filled buckets."
  type        = bool
  default     = true
}

# -- names and mail -----------------------------------------------------------------------------

variable "base_domain" {
  description = "Public host; factories are its subdomains."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.base_domain))
    error_message = "base_domain must be a host name such as takt.example."
  }
}

variable "zone_id" {
  description = "Route 53 hosted zone that holds base_domain."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "zone_id must be the id of a hosted zone (Z...)."
  }
}

variable "mail_from" {
  description = "Local part of the address that mails come from, at base_domain."
  type        = string
  default     = "noreply"

  validation {
    condition     = can(regex("^[a-z0-9._-]+$", var.mail_from))
    error_message = "mail_from is the part before the @: lower-case letters, digits, dots, hyphens."
  }
}

variable "alarm_emails" {
  description = "Who is told about alarms; each address confirms its subscription once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alarm_emails must be e-mail addresses."
  }
}

# -- network ------------------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "Addresses of the network; /16 to /20."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition = (
      can(cidrnetmask(var.vpc_cidr))
      && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16, false)
      && try(tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    )
    error_message = "vpc_cidr must be an IPv4 network between /16 and /20."
  }
}

variable "zone_count" {
  description = "Availability zones to spread over."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count must be 2 or 3: the database and the load balancer need two."
  }
}

variable "nat_per_zone" {
  description = "One NAT gateway a zone (a zone may fail) rather than one for all (cheaper)."
  type        = bool
  default     = true
}

variable "ingest_paths" {
  description = "Paths on which devices post; the load balancer sends them to the ingest service."
  type        = list(string)
  default     = ["/api/v1/telemetry", "/api/v2/write"]

  validation {
    condition = (
      length(var.ingest_paths) >= 1 && length(var.ingest_paths) <= 5
      && alltrue([for path in var.ingest_paths : startswith(path, "/")])
    )
    error_message = "ingest_paths must be one to five paths beginning with a slash."
  }
}

# -- database -----------------------------------------------------------------------------------

variable "database_major_version" {
  description = "Major version of PostgreSQL."
  type        = number
  default     = 17

  validation {
    condition     = var.database_major_version >= 16
    error_message = "Takt needs PostgreSQL 16 or later."
  }
}

variable "database_instance_class" {
  description = "Size of the database server."
  type        = string
  default     = "db.m7g.large"

  validation {
    condition     = startswith(var.database_instance_class, "db.")
    error_message = "database_instance_class must begin with db."
  }
}

variable "database_storage_gb" {
  description = "Disk of the database at the start and the most it may grow to by itself, in GB."
  type = object({
    initial = number
    maximum = number
  })
  default = {
    initial = 100
    maximum = 1000
  }

  validation {
    condition = (
      var.database_storage_gb.initial >= 20
      && var.database_storage_gb.maximum > var.database_storage_gb.initial
    )
    error_message = "initial must be at least 20 GB and maximum greater than that."
  }
}

variable "database_multi_zone" {
  description = "Keep a synchronous standby in another zone."
  type        = bool
  default     = true
}

variable "database_backup_days" {
  description = "Days for which the database can be restored to any moment."
  type        = number
  default     = 14

  validation {
    condition     = var.database_backup_days >= 7 && var.database_backup_days <= 35
    error_message = "database_backup_days must lie between 7 and 35."
  }
}

# -- cache --------------------------------------------------------------------------------------

variable "cache_node_type" {
  description = "Size of a Valkey node."
  type        = string
  default     = "cache.t4g.medium"

  validation {
    condition     = startswith(var.cache_node_type, "cache.")
    error_message = "cache_node_type must begin with cache."
  }
}

variable "cache_nodes" {
  description = "Valkey nodes; from two on a standby takes over."
  type        = number
  default     = 2

  validation {
    condition     = var.cache_nodes >= 1 && var.cache_nodes <= 6
    error_message = "cache_nodes must lie between 1 and 6."
  }
}

variable "cache_user_group_id" {
  description = "ElastiCache user group made outside of Terraform, so that its password is in no state; null leaves the protection to the network."
  type        = string
  default     = null
}

# -- services -----------------------------------------------------------------------------------

variable "servers" {
  description = "The two services behind the load balancer: CPU units and MB of a task, tasks at least and at most."
  type = map(object({
    cpu    = number
    memory = number
    least  = number
    most   = number
  }))
  default = {
    web    = { cpu = 1024, memory = 2048, least = 2, most = 8 }
    ingest = { cpu = 1024, memory = 2048, least = 2, most = 16 }
  }

  validation {
    condition     = toset(keys(var.servers)) == toset(["web", "ingest"])
    error_message = "servers must describe exactly web and ingest."
  }

  validation {
    condition     = alltrue([for server in values(var.servers) : server.least >= 1 && server.most >= server.least])
    error_message = "each server needs at least one task and no fewer at most than at least."
  }
}

variable "workers" {
  description = "Celery workers by queue: CPU units and MB of a task, processes in it, tasks at least and at most."
  type = map(object({
    cpu       = number
    memory    = number
    processes = number
    least     = number
    most      = number
  }))
  default = {
    default = { cpu = 512, memory = 2048, processes = 2, least = 1, most = 4 }
    learn   = { cpu = 2048, memory = 8192, processes = 2, least = 1, most = 8 }
    plan    = { cpu = 1024, memory = 4096, processes = 1, least = 1, most = 4 }
  }

  validation {
    condition     = toset(keys(var.workers)) == toset(["default", "learn", "plan"])
    error_message = "workers must describe exactly the queues default, learn and plan."
  }

  validation {
    condition     = alltrue([for worker in values(var.workers) : worker.least >= 1 && worker.most >= worker.least])
    error_message = "each queue needs at least one task and no fewer at most than at least."
  }
}

variable "log_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([30, 60, 90, 120, 180, 365], var.log_days)
    error_message = "log_days must be one of 30, 60, 90, 120, 180, 365."
  }
}
