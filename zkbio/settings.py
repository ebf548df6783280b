"""Django's settings; everything that differs between installations comes from the environment (docs/operations.md)."""

from __future__ import annotations

from pathlib import Path

import dj_database_url
import django_stubs_ext

from zkbio import env

# Lets Django's and DRF's classes be written with their type parameters at run time too.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = env.text("SECRET_KEY", min_length=50)
TOKEN_KEY = env.key("TOKEN_KEY")
FIELD_KEYS = env.key_ring("FIELD_KEYS")
DEBUG = False
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

# Private ranges by default; loopback, link-local and everything public only when the operator names them.
DEVICE_NETWORKS = env.networks("DEVICE_NETWORKS", "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7")
# The registry of devices as a file, for those who edit or copy it; empty: none.
DEVICES_FILE = env.text("DEVICES_FILE", "").strip()
ZKBIO_TIME_ZONE = env.text("ZKBIO_TIME_ZONE", "UTC")
POLL_SECONDS = env.number("POLL_SECONDS", 60, low=1, high=86_400)
DEVICE_SESSION_SECONDS = env.number("DEVICE_SESSION_SECONDS", 180, low=10, high=3600)
# A request for something on a terminal: how long it waits for its turn, and how long it may take in all.
LIVE_WAIT_SECONDS = env.number("LIVE_WAIT_SECONDS", 20, low=1, high=600)
LIVE_SECONDS = env.number("LIVE_SECONDS", 120, low=10, high=3600)
SEND_SECONDS = env.number("SEND_SECONDS", 60, low=1, high=3600)
PEOPLE_COMPARE_MINUTES = env.number("PEOPLE_COMPARE_MINUTES", 60, low=1, high=10_080)
PEOPLE_VISIT_SECONDS = env.number("PEOPLE_VISIT_SECONDS", 20, low=1, high=600)
TICK_SECONDS = env.number("TICK_SECONDS", 5, low=1, high=60)
# How often those who answered nobody are asked whether they are back.
KNOCK_SECONDS = env.number("KNOCK_SECONDS", 5, low=1, high=3_600)
RUN_HISTORY_DAYS = env.number("RUN_HISTORY_DAYS", 30, low=1, high=3_650)
OFFLINE_ALARM_MINUTES = env.number("OFFLINE_ALARM_MINUTES", 60, low=1, high=100_000)
# A clock that is off by more is an alarm; one that shall be set is set when it is off by more than the tolerance.
CLOCK_ALARM_SECONDS = env.number("CLOCK_ALARM_SECONDS", 120, low=5, high=86_400)
CLOCK_TOLERANCE_SECONDS = env.number("CLOCK_TOLERANCE_SECONDS", 10, low=2, high=3_600)
CAPACITY_ALARM_PERCENT = env.number("CAPACITY_ALARM_PERCENT", 80, low=1, high=100)
# Whether people belong on the terminals of the areas below theirs too.
AREAS_INCLUDE_SUBAREAS = env.flag("AREAS_INCLUDE_SUBAREAS")
# Whether fingers are stored only of those who agreed; so long after a resignation they are forgotten (0: kept).
BIOMETRIC_CONSENT = env.flag("BIOMETRIC_CONSENT")
TEMPLATE_RETENTION_DAYS = env.number("TEMPLATE_RETENTION_DAYS", 0, low=0, high=36_500)
# Terminals that dial (PUSH): an unknown one waits until somebody approves it, or is let in because its serial number is
# listed; with "listed", others aren't even remembered. From other networks than these nobody is let in (empty: all).
PUSH_ADMISSION = env.choice("PUSH_ADMISSION", "pending", ("pending", "listed"))
PUSH_SERIALS = frozenset(env.words("PUSH_SERIALS"))
PUSH_NETWORKS = env.networks("PUSH_NETWORKS", "")
PUSH_PENDING_MOST = env.number("PUSH_PENDING_MOST", 100, low=0, high=10_000)
PUSH_PENDING_DAYS = env.number("PUSH_PENDING_DAYS", 7, low=1, high=365)
# What units without a key of their own have to show, where anything.
PUSH_COMM_KEY = env.text("PUSH_COMM_KEY", "").strip()
PUSH_BODY_BYTES = env.number("PUSH_BODY_MB", 8, low=1, high=100) * 1024 * 1024
# Requests a minute of one unit, by each process; whoever sends more is told to wait.
PUSH_RATE = env.number("PUSH_RATE", 600, low=10, high=100_000)
# A unit is away when it wasn't heard of for three of its heartbeats, and for so long at least.
PUSH_AWAY_SECONDS = env.number("PUSH_AWAY_SECONDS", 60, low=5, high=86_400)
# How often it is decided what waits for units, how long they may take to answer, how often their logs are compared.
PUSH_FEED_SECONDS = env.number("PUSH_FEED_SECONDS", 5, low=1, high=60)
PUSH_LEASE_SECONDS = env.number("PUSH_LEASE_SECONDS", 60, low=2, high=3_600)
PUSH_VERIFY_MINUTES = env.number("PUSH_VERIFY_MINUTES", 15, low=1, high=1_440)
# How long the photos that units take are kept.
PHOTO_DAYS = env.number("PHOTO_DAYS", 365, low=1, high=36_500)
# Where terminals dial to, if not where everything else is served; what is entered on a unit says so.
PUSH_PORT = env.number("PUSH_PORT", 0, low=0, high=65_535)
# What this process serves: everything, or only what people and programs ask for, or only terminals that dial.
SERVE = env.choice("SERVE", "all", ("all", "web", "push"))
JWT_LIFE_HOURS = env.number("JWT_LIFE_HOURS", 24, low=1, high=8_760)
JWT_REFRESH_DAYS = env.number("JWT_REFRESH_DAYS", 7, low=1, high=365)
MAX_PAGE_SIZE = env.number("MAX_PAGE_SIZE", 50_000, low=100, high=10_000_000)
MAX_EXPORT_ROWS = env.number("MAX_EXPORT_ROWS", 2_000_000, low=100, high=100_000_000)
# Answers unknown paths with 200 and a page that says "Page not found", as the vendor's servers do.
ZKBIO_SOFT_404 = env.flag("ZKBIO_SOFT_404")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "zkbio.accounts",
    "personnel",
    "iclock",
    "devices",
]

MIDDLEWARE = [
    # Terminals that dial have no use for any of the others.
    "iclock.push.middleware.PushMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "zkbio.api.paths.CollapseSlashesMiddleware",
    "zkbio.api.paths.WritesWithoutSlashMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "zkbio.api.dialect.DialectMiddleware",
    "zkbio.api.errors.UnavailableMiddleware",
    "zkbio.api.bodies.BodyLimitMiddleware",
    "zkbio.api.paths.ReadableQueryMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = {"all": "zkbio.urls", "web": "zkbio.web_urls", "push": "zkbio.push_urls"}[SERVE]
WSGI_APPLICATION = "zkbio.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The web role is given short ones: a query stops everybody else of its process. 0 is no limit.
DATABASE_LOCK_SECONDS = env.number("DATABASE_LOCK_SECONDS", 30, low=1, high=600)
DATABASE_STATEMENT_SECONDS = env.number("DATABASE_STATEMENT_SECONDS", 0, low=0, high=3600)
DATABASES = {"default": dj_database_url.parse(env.text("DATABASE_URL"))}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        "application_name": "zkbio",
        # A lock that can't be had, or a transaction that nobody ends, is an error in words and not a hung worker.
        "options": f"-c lock_timeout={DATABASE_LOCK_SECONDS}s -c statement_timeout={DATABASE_STATEMENT_SECONDS}s"
        " -c idle_in_transaction_session_timeout=120s"
        # Prepared pages are planned once (zkbio.api.streams); compiling a plan takes longer than such a plan runs.
        " -c plan_cache_mode=force_generic_plan -c jit=off",
    }
)
# The web role keeps this many connections a process; the worker opens one for a visit and lets go of it.
if POOL_SIZE := env.number("DATABASE_POOL", 0, low=0, high=200):
    DATABASES["default"].update({"ENGINE": "zkbio.pooled", "POOL_SIZE": POOL_SIZE})  # type: ignore[typeddict-item]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["zkbio.accounts.domain.backend.AccountsBackend"]
PASSWORD_HASHERS = ["zkbio.accounts.domain.hashing.ApartPBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "zkbio" / "locale"]
TIME_ZONE = ZKBIO_TIME_ZONE
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / "var" / "static"))
MEDIA_ROOT = env.text("MEDIA_ROOT", str(BASE_DIR / "var" / "media"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

REST_FRAMEWORK = {
    # The first one names the scheme in WWW-Authenticate.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "zkbio.api.authentication.TokenAuthentication",
        "zkbio.accounts.api.authentication.PasswordAuthentication",
        "zkbio.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["zkbio.api.permissions.ModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "zkbio.api.pagination.ZKPagination",
    "DEFAULT_RENDERER_CLASSES": ["zkbio.api.renderers.ORJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "zkbio.api.renderers.AlwaysFirstRenderer",
    "DEFAULT_PARSER_CLASSES": [
        "zkbio.api.parsers.ORJSONParser",
        "zkbio.api.parsers.Utf8FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "zkbio.api.schema.ZKAutoSchema",
    "EXCEPTION_HANDLER": "zkbio.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "%Y-%m-%d %H:%M:%S",
}
# Who verifies the tokens of each scheme, users' first: theirs are the requests that have to be quick.
TOKEN_VERIFIERS = {
    "token": ["zkbio.accounts.domain.tokens.verify_token", "personnel.domain.staff.verify_staff_token"],
    "jwt": [
        "zkbio.accounts.domain.signed_tokens.verify_signed_token",
        "personnel.domain.staff.verify_signed_staff_token",
    ],
}
TOKEN_REFRESHERS = [
    "zkbio.accounts.domain.signed_tokens.refresh_signed_token",
    "personnel.domain.staff.refresh_signed_staff_token",
]
SPECTACULAR_SETTINGS = {
    "TITLE": "ZKBio Time API DOCS",
    "VERSION": "1.0",
    # A body has no read-only keys: what is sent and what is answered are two descriptions.
    "COMPONENT_SPLIT_REQUEST": True,
    # Two sorts of "kind".
    "ENUM_NAME_OVERRIDES": {"AlarmKindEnum": "iclock.models.Alarm.Kind"},
}

# TLS usually ends at a proxy or at the launcher; plain HTTP on the company's own network is what terminals speak.
HTTPS_ONLY = env.flag("HTTPS_ONLY")
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
# The launcher sets SECURE_COOKIES where it serves TLS itself. It promises browsers nothing for a year (HSTS), which
# would bind every other server of the same name.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY or env.flag("SECURE_COOKIES")
# Only behind a proxy that sets X-Forwarded-For, -Host and -Proto itself.
TRUST_PROXY = env.flag("TRUST_PROXY")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
USE_X_FORWARDED_HOST = TRUST_PROXY
# Bytes that a body may have, by the path's prefix. Who isn't logged in can make those of 16 KB be parsed.
MAX_BODY_BYTES = env.number("MAX_BODY_MB", 20, low=1, high=1000) * 1024 * 1024
BODY_LIMITS = [
    ("/api-token-auth", 16 * 1024),
    ("/jwt-api-token-", 16 * 1024),
    ("/staff-", 16 * 1024),
    ("/admin/login/", 16 * 1024),
    # Read after the permission was checked.
    ("/admin/iclock/terminal/usb-import/", MAX_BODY_BYTES),
    ("/admin/", 256 * 1024),
    ("/", MAX_BODY_BYTES),
]
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# Who is told of alarms, and by which server. Nothing is sent while nobody is named.
ALARM_MAIL_TO = env.addresses("ALARM_MAIL_TO")
EMAIL_TLS = env.choice("EMAIL_TLS", "starttls", ("none", "starttls", "ssl"))
EMAIL_HOST = env.host("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", {"none": 25, "starttls": 587, "ssl": 465}[EMAIL_TLS], low=1, high=65_535)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env.ascii_text("EMAIL_USER"), env.ascii_text("EMAIL_PASSWORD")
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_TLS == "starttls", EMAIL_TLS == "ssl"
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT", 10, low=1, high=50)
DEFAULT_FROM_EMAIL = "".join(env.addresses("EMAIL_FROM", most=1))
env.require_with("ALARM_MAIL_TO", "EMAIL_HOST", "EMAIL_FROM")
env.require_with("EMAIL_USER", "EMAIL_PASSWORD")
env.require_with("EMAIL_PASSWORD", "EMAIL_USER")

CELERY_BROKER_URL = env.text("REDIS_URL")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5, "visibility_timeout": 120}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "claim-due-devices": {
        "task": "devices.claim_due",
        "schedule": TICK_SECONDS,
        "options": {"expires": TICK_SECONDS * 2},
    },
    "knock": {"task": "devices.knock", "schedule": KNOCK_SECONDS, "options": {"expires": KNOCK_SECONDS}},
    "call-overlooked": {"task": "devices.call_overlooked", "schedule": 60, "options": {"expires": 60}},
    "expire-commands": {"task": "iclock.expire_commands", "schedule": 60, "options": {"expires": 60}},
    "expire-enrolments": {"task": "iclock.expire_enrolments", "schedule": 30, "options": {"expires": 30}},
    "purge-enrolments": {"task": "iclock.purge_enrolments", "schedule": 3600, "options": {"expires": 3600}},
    "purge-intents": {"task": "iclock.purge_intents", "schedule": 3600, "options": {"expires": 3600}},
    # Hourly, because a beat that is restarted every day never comes to what is due after one.
    "forget-templates": {"task": "iclock.forget_templates", "schedule": 3600, "options": {"expires": 3600}},
    "feed-push": {
        "task": "iclock.feed_push",
        "schedule": PUSH_FEED_SECONDS,
        "options": {"expires": PUSH_FEED_SECONDS * 2},
    },
    "compare-push": {"task": "iclock.compare_push", "schedule": 5, "options": {"expires": 10}},
    "reload-push": {"task": "iclock.reload_push", "schedule": 60, "options": {"expires": 60}},
    "purge-events": {"task": "iclock.purge_terminal_events", "schedule": 3600, "options": {"expires": 3600}},
    "purge-photos": {"task": "iclock.purge_terminal_photos", "schedule": 3600, "options": {"expires": 3600}},
    "purge-push-orders": {"task": "iclock.purge_push_orders", "schedule": 3600, "options": {"expires": 3600}},
    "purge-commands": {"task": "iclock.purge_commands", "schedule": 3600, "options": {"expires": 3600}},
    # What is away or to be told is so a minute later too: a tick that waited longer is not worth doing.
    "check-away": {"task": "iclock.check_away", "schedule": 60, "options": {"expires": 60}},
    "sweep-push": {"task": "iclock.sweep_push", "schedule": 10, "options": {"expires": 10}},
    "mail-alarms": {"task": "iclock.mail_alarms", "schedule": 60, "options": {"expires": 60}},
    "purge-alarms": {"task": "iclock.purge_alarms", "schedule": 3600, "options": {"expires": 3600}},
    "check-locked": {"task": "devices.check_locked", "schedule": 60, "options": {"expires": 60}},
    "purge-released": {"task": "iclock.purge_released", "schedule": 3600, "options": {"expires": 3600}},
    "purge-runs": {"task": "devices.purge_runs", "schedule": 3600, "options": {"expires": 3600}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # A tick every few seconds is no news.
    "loggers": {name: {"level": "WARNING"} for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace")},
}
