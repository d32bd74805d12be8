"""Settings: everything that differs between installations comes from `config.env`."""

from typing import Any
from urllib.parse import urlsplit

from config import env

BASE_DIR = env.BASE_DIR
VAR_DIR = env.var_dir()
DEBUG = env.flag("TAKT_DEBUG")
SECRET_KEY = env.secret("TAKT_SECRET_KEY")
ARTIFACT_KEY = env.secret("TAKT_ARTIFACT_KEY")

# -- where it is served
BASE_URL = env.url("TAKT_BASE_URL", "https://localhost:8443", schemes=("https",)).rstrip("/")
# Where devices send: a port of their own where there is one (docs/ingest.md).
DEVICE_URL = env.url("TAKT_DEVICE_URL", BASE_URL, schemes=("https",)).rstrip("/")
_base = urlsplit(BASE_URL)
BASE_HOST = _base.hostname or "localhost"
BASE_PORT = _base.port or 443
PORT_SUFFIX = "" if BASE_PORT == 443 else f":{BASE_PORT}"
ALLOWED_HOSTS = [BASE_HOST, f".{BASE_HOST}", "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = [BASE_URL, f"https://*.{BASE_HOST}{PORT_SUFFIX}"]
ASGI_APPLICATION = "config.asgi.application"
ROOT_URLCONF = "config.urls_factory"
PUBLIC_SCHEMA_URLCONF = "config.urls_public"

# -- what it is made of
SHARED_APPS = [
    "frontend",  # first, for its templates of the staff pages: django_tenants brings some too
    "django_tenants",
    "tenants",
    "billing",
    "config",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_vite",
    "template_partials",
    "config.admin_app.StaffAdminConfig",
]
TENANT_APPS = ["production", "telemetry", "mlops", "analytics"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_BASE_MIGRATE_COMMAND = "tenants.management.shared_migrations.Command"
TENANT_MODEL = "tenants.Factory"
TENANT_DOMAIN_MODEL = "tenants.Domain"
AUTH_USER_MODEL = "tenants.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tenants.middleware.RequestLogMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tenants.middleware.FactoryMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.middleware.MembershipMiddleware",
    "tenants.middleware.StandingMiddleware",
    "tenants.support_trace.SupportTraceMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "frontend.context.portal",
            ],
        },
    },
]

# -- PostgreSQL: the truth
_db = env.database("DATABASE_URL", "postgres://takt@127.0.0.1:5432/takt")


def _reset_connection(connection: Any) -> None:
    """Forget the factory of the request before: its search_path must not outlive it."""
    autocommit = connection.autocommit
    connection.autocommit = True
    connection.execute("RESET ALL")
    connection.autocommit = autocommit


DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "tenants.database",
        "HOST": _db.host,
        "PORT": _db.port,
        "USER": _db.user,
        "PASSWORD": _db.password,
        "NAME": _db.name,
        "OPTIONS": {"connect_timeout": 5},
    }
}
# Under ASGI a request lives in a thread of its own, so that connections kept by a thread would
# never be used twice: a pool keeps them instead. 0: no pool.
if _pool_size := env.number("TAKT_DB_POOL", 20):
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 0,
        "max_size": _pool_size,
        "timeout": 5,
        "max_idle": 60,
        "reset": _reset_connection,
    }
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
MLFLOW_DATABASE_URL = env.text("MLFLOW_DATABASE_URL")

# -- Valkey: cache, live channel, broker; may be emptied at any moment
VALKEY_URL = env.url("VALKEY_URL", "redis://127.0.0.1:6379/0", schemes=("redis", "rediss"))
CACHES = {
    "default": {
        "BACKEND": "config.cache.ForgivingRedisCache",
        "LOCATION": VALKEY_URL,
        "KEY_FUNCTION": "django_tenants.cache.make_key",
        "REVERSE_KEY_FUNCTION": "django_tenants.cache.reverse_key",
        "OPTIONS": {
            "socket_connect_timeout": 1,
            "socket_timeout": 2,
            "serializer": "config.cache.JsonSerializer",
        },
    }
}

# -- S3: models, images, archives
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")
S3_ACCESS_KEY_ID = env.text("S3_ACCESS_KEY_ID")
S3_SECRET_ACCESS_KEY = env.text("S3_SECRET_ACCESS_KEY")
S3_BUCKET = env.text("S3_BUCKET", "takt")
S3_REGION = env.text("S3_REGION", "us-east-1")
S3_ENCRYPTION = env.text("S3_ENCRYPTION")  # "aws:kms" on AWS; the embedded server has no KMS

# -- Stripe
STRIPE_API_BASE = env.text("STRIPE_API_BASE")
STRIPE_API_KEY = env.text("STRIPE_API_KEY")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET")
# Reading calls a second for the nightly proof. Stripe takes 25 at one address in all, 100 on the
# whole account (docs.stripe.com/rate-limits): the rest is left for people.
STRIPE_READS_PER_S = env.number("STRIPE_READS_PER_S", 20, least=1)
# A folder of price lists in place of billing/price_books, for who sells on other terms.
PRICE_BOOKS = env.text("TAKT_PRICE_BOOKS")

# -- people
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 3600  # s; staff write within it (config.admin)
ACCOUNT_ADAPTER = "tenants.accounts.AccountAdapter"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/factories/"
EMAIL_BACKEND = (
    "tenants.mail.MailboxBackend"
    if env.flag("TAKT_MAILBOX")
    else "django.core.mail.backends.smtp.EmailBackend"
)
MAILBOX = env.flag("TAKT_MAILBOX")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("TAKT_MAIL_FROM", f"Takt <noreply@{BASE_HOST}>")

# Webhooks go to public addresses over HTTPS; an installation inside a plant may lift that.
WEBHOOK_ALLOW_PRIVATE = env.flag("TAKT_WEBHOOK_ALLOW_PRIVATE")

# Cookies belong to one host: no Domain, so a factory's session never reaches another factory.
SESSION_COOKIE_NAME = "__Host-takt"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_NAME = "__Host-takt-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "frontend.views.errors.csrf_failure"

# -- safety
SECURE_SSL_REDIRECT = False  # only HTTPS is ever bound
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("TAKT_BEHIND_PROXY") else None
)
SECURE_HSTS_SECONDS = 0 if BASE_HOST == "localhost" else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
SILENCED_SYSTEM_CHECKS = [
    "security.W008",  # no redirect to HTTPS: plain HTTP is not served at all
    "security.W004",  # HSTS is on for every host but localhost
]

# -- language, time
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# -- static files: built by Vite, served by the same process
STATIC_URL = "/static/"
STATIC_ROOT = None  # nothing is collected: the finders serve from where files lie
STATICFILES_DIRS: list[Any] = []
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DJANGO_VITE = {
    "default": {
        "dev_mode": False,
        "manifest_path": BASE_DIR / "frontend" / "static" / "dist" / "manifest.json",
        "static_url_prefix": "dist",
    }
}


def WHITENOISE_IMMUTABLE_FILE_TEST(_path: str, url: str) -> bool:  # noqa: N802  a setting's name
    """Vite names its files by their content; they may be kept for ever."""
    return "/dist/assets/" in url


# -- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.api.authentication.ApiKeyAuthentication",
        "tenants.api.authentication.FactorySessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.api.permissions.HasFactoryPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "tenants.api.pagination.Pages",
    "EXCEPTION_HANDLER": "tenants.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Takt API",
    "DESCRIPTION": "Machines, devices, readings, predictions and usage of one factory. "
    "Authenticate with an API key of the factory: `Authorization: Bearer takt_api_...`. "
    "No text that is sent may hold the null character.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "ENUM_NAME_OVERRIDES": {
        "JobStateEnum": "tenants.models.Job.State",
        "MachineStateEnum": "production.models.Machine.State",
        "WorkOrderKindEnum": "production.models.WorkOrder.Kind",
        "WorkOrderSourceEnum": "production.models.WorkOrder.Source",
        "WorkOrderStateEnum": "production.models.WorkOrder.State",
        "VerdictEnum": "production.models.WorkOrder.Verdict",
        "VerdictWithoutWorkEnum": [
            ("false_alarm", "False alarm"),
            ("not_found", "Nothing found"),
        ],
        "LotStateEnum": "production.models.Lot.State",
        "LotNextStateEnum": [
            (s, s)
            for s in (
                "available",
                "held",
                "released",
                "consumed",
                "shipped",
                "recalled",
                "scrapped",
            )
        ],
        "OperationRunStateEnum": "production.models.OperationRun.State",
        "ProductionOrderStateEnum": "production.models.ProductionOrder.State",
        "RevisionStateEnum": "production.models.Product.State",
        "AlarmSeverityEnum": "telemetry.models.Severity",
        "DefectSeverityEnum": "production.models.DefectType.Severity",
        "CharacteristicKindEnum": "production.models.Characteristic.Kind",
        "InspectionStateEnum": "production.models.Inspection.State",
        "InspectionSourceEnum": "production.models.Inspection.Source",
        "InspectionVerdictEnum": "production.models.Verdict",
        "NonconformanceStateEnum": "production.models.Nonconformance.State",
        "NonconformanceSourceEnum": "production.models.Nonconformance.Source",
        "ReportedSourceEnum": [
            ("run", "Production"),
            ("receipt", "A receipt"),
            ("complaint", "A complaint"),
        ],
        "MaintenancePlanKindEnum": "production.models.MaintenancePlan.Kind",
        "ModelKindEnum": "mlops.models.Kind",
        "PredictionStateEnum": "mlops.models.Prediction.State",
        "VisionModeEnum": "mlops.models.VisionSetup.Mode",
        "FailureModeEnum": "production.models.Failure.Mode",
        "PictureSourceEnum": "mlops.models.InspectionImage.Source",
        "SentPictureSourceEnum": [(s, s) for s in ("api", "folder")],
        "SaidLabelEnum": "mlops.models.InspectionImage.Label",
        "PictureLabelEnum": [(s, s) for s in ("good", "defect", "unusable")],
        "PictureLabelFilterEnum": [(s, s) for s in ("good", "defect", "unusable", "none")],
        "DeviceStateEnum": "telemetry.selectors.fleet.DeviceState",
        "OperatingStateEnum": [
            (s, s) for s in ("run", "slow", "idle", "down", "setup", "planned", "nodata")
        ],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "telemetry.api.openapi.add_ingest",
        "tenants.api.openapi.add_common_answers",
    ],
}

# -- jobs
CELERY_BROKER_URL = VALKEY_URL

# -- logs: facts as fields, one JSON object a line
LOGGING_CONFIG = "config.logs.configure"
LOGGING = {"level": env.text("TAKT_LOG_LEVEL", "INFO")}
