resource "aws_sesv2_email_identity" "main" {
  email_identity         = var.base_domain
  configuration_set_name = aws_sesv2_configuration_set.main.configuration_set_name
}

resource "aws_sesv2_configuration_set" "main" {
  configuration_set_name = local.prefix

  delivery_options {
    tls_policy = "REQUIRE"
  }

  reputation_options {
    reputation_metrics_enabled = true
  }

  suppression_options {
    suppressed_reasons = ["BOUNCE", "COMPLAINT"]
  }
}

# The same identity's keys, in a form that is that a plan can count.
resource "aws_ses_domain_dkim" "main" {
  domain = aws_sesv2_email_identity.main.email_identity
}

resource "aws_route53_record" "dkim" {
  count = 3

  zone_id = var.zone_id
  name    = "${aws_ses_domain_dkim.main.dkim_tokens[count.index]}._domainkey.${var.base_domain}"
  type    = "CNAME"
  records = ["${aws_ses_domain_dkim.main.dkim_tokens[count.index]}.dkim.amazonses.com"]
  ttl     = 600
}

resource "aws_route53_record" "dmarc" {
  zone_id = var.zone_id
  name    = "_dmarc.${var.base_domain}"
  type    = "TXT"
  records = ["v=DMARC1; p=quarantine; adkim=s"]
  ttl     = 600
}

# SMTP asks for a user. Its key is made by hand and goes straight into Secrets Manager (README.md).
resource "aws_iam_user" "smtp" {
  name = "${local.prefix}-smtp"
}

data "aws_iam_policy_document" "smtp" {
  statement {
    actions   = ["ses:SendRawEmail"]
    resources = [aws_sesv2_email_identity.main.arn, aws_sesv2_configuration_set.main.arn]

    condition {
      test     = "StringEquals"
      variable = "ses:FromAddress"
      values   = ["${var.mail_from}@${var.base_domain}"]
    }
  }
}

resource "aws_iam_user_policy" "smtp" {
  name   = "send"
  user   = aws_iam_user.smtp.name
  policy = data.aws_iam_policy_document.smtp.json
}
