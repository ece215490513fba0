"""Every setting. All come from the environment; `docs/operations.md` has the table."""

import os
from pathlib import Path

from engage import env
from engage.lib.data_dir import socket_dir

BASE_DIR = Path(__file__).resolve().parent.parent

# --- the place ------------------------------------------------------------------------------
DATA_DIR = env.folder("ENGAGE_DATA_DIR", BASE_DIR / "var")  # everything an installation keeps
SOCKET_DIR = socket_dir(DATA_DIR)  # of the embedded servers
HOST = env.text("ENGAGE_HOST", "127.0.0.1")  # the web server listens there
PORT = env.integer("ENGAGE_PORT", 8000, minimum=1, maximum=65535)
PEOPLE_TIME_ZONE = env.time_zone("ENGAGE_TIME_ZONE", "UTC")  # of people who named none
PUBLIC_URL = env.url(  # in links
    "ENGAGE_PUBLIC_URL", f"http://localhost:{PORT}", schemes=("http", "https")
)
DEBUG = env.flag("ENGAGE_DEBUG")
ALLOWED_HOSTS = env.names("ENGAGE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.origins("ENGAGE_TRUSTED_ORIGINS")
SECRET_KEY = env.secret_key("SECRET_KEY", keep_in=DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = env.names("SECRET_KEY_FALLBACKS", "")  # former keys: old links still work
CORES = os.cpu_count() or 1
WEB_WORKERS = env.integer("ENGAGE_WEB_WORKERS", min(CORES, 8), minimum=1, maximum=64)
WEB_THREADS = env.integer("ENGAGE_WEB_THREADS", 4, minimum=1, maximum=64)  # in each of them
WORKER_PROCESSES = env.integer("ENGAGE_WORKER_PROCESSES", max(CORES, 2), minimum=1, maximum=64)
# For each channel that is set up: a channel holds so many at most, whatever its provider does.
SENDER_PROCESSES = env.integer(
    "ENGAGE_SENDER_PROCESSES", min(max(CORES, 2), 4), minimum=1, maximum=64
)
INSTANCE_NONCE = env.text("ENGAGE_INSTANCE")  # of each start of the runner; probes look for it
LOG_LEVEL = env.choice(
    "ENGAGE_LOG_LEVEL", "WARNING", options=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)

# --- stores ---------------------------------------------------------------------------------
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **env.database("DATABASE_URL", socket_dir=SOCKET_DIR),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,  # seconds
            "application_name": "engage",
            **env.database_options("DATABASE_URL"),
        },
    }
}
EMBEDDED_DATABASE = not env.text("DATABASE_URL")
EMBEDDED_REDIS = not env.text("REDIS_URL")
REDIS_URL = env.url(
    "REDIS_URL",
    f"unix://{SOCKET_DIR}/redis.sock?db=0",
    schemes=("redis", "rediss", "unix"),
)
REDIS_PREFIX = env.text("ENGAGE_REDIS_PREFIX", "engage")
REDIS_TIMEOUT_SECONDS = env.integer("ENGAGE_REDIS_TIMEOUT_SECONDS", 5, minimum=1)
BROKER_URL = env.url(
    "BROKER_URL",
    env.celery_address(f"unix://{SOCKET_DIR}/redis.sock?db=1" if EMBEDDED_REDIS else REDIS_URL),
    schemes=("redis", "rediss", "redis+socket", "amqp", "amqps"),
)

# --- collector ------------------------------------------------------------------------------
BATCH_MAX_BYTES = env.integer("ENGAGE_BATCH_MAX_BYTES", 500_000, minimum=1_000)  # after gunzip
BATCH_MAX_EVENTS = env.integer("ENGAGE_BATCH_MAX_EVENTS", 2_500, minimum=1)
EVENT_MAX_BYTES = env.integer("ENGAGE_EVENT_MAX_BYTES", 32_768, minimum=1_000)
STREAM_MAX_ENTRIES = env.integer("ENGAGE_STREAM_MAX_ENTRIES", 100_000, minimum=1)  # then 429
# Memory of Redis, all of it: then 429, so that ingest and the broker can still write.
REDIS_MAX_BYTES = env.integer("ENGAGE_REDIS_MAX_BYTES", 1_000_000_000, minimum=10_000_000)
INGEST_MAX_EVENTS = env.integer("ENGAGE_INGEST_MAX_EVENTS", 5_000, minimum=1)  # per transaction
DEDUPE_DAYS = env.integer("ENGAGE_DEDUPE_DAYS", 30, minimum=1, maximum=90)
RECENT_ITEMS = 50  # touches kept per profile, newest first
EVENT_MONTHS = env.integer("ENGAGE_EVENT_MONTHS", 0)  # older months are dropped; 0: kept for ever
# What the rooms above add to the export of a person, and do when one is erased; by profile id.
PERSON_PARTS = {
    "messages": "delivery.reports.messages_of",
    "preferences": "delivery.preferences.export",
    "inbox": "delivery.inbox.export",
    "occasions": "campaigns.occasions.export",
}
ERASERS = [
    "engage.collector.quarantine.erase",
    "delivery.erasure.erase",
    "campaigns.erasure.erase",
]

# --- recommendations ------------------------------------------------------------------------
BUILD_THREADS = env.integer("ENGAGE_BUILD_THREADS", 1, minimum=1, maximum=64)
# What the page of builds asks the room above for: products seen in messages, clicks on them.
SHOWN_COUNTER = "delivery.reports.count_shown"
KEEP_BUILDS = env.integer("ENGAGE_KEEP_BUILDS", 5, minimum=2)  # artifacts kept for rolling back

# --- delivery -------------------------------------------------------------------------------
SEND_BATCH = env.integer("ENGAGE_SEND_BATCH", 1_000, minimum=1, maximum=10_000)  # messages a task
SEND_LEASE_SECONDS = env.integer("ENGAGE_SEND_LEASE_SECONDS", 60, minimum=30)  # then reaped
PROVIDER_TIMEOUT_SECONDS = env.integer(
    "ENGAGE_PROVIDER_TIMEOUT_SECONDS", 15, minimum=1, maximum=100
)
SMTP_URL = env.text(
    "ENGAGE_SMTP_URL"
)  # smtp://user:password@host:587?starttls=1; empty: no e-mail
DKIM_KEY_FILE = env.text("ENGAGE_DKIM_KEY_FILE")  # PEM, of make_dkim_key; empty: unsigned
DKIM_SELECTOR = env.text("ENGAGE_DKIM_SELECTOR")
DKIM_DOMAIN = env.text("ENGAGE_DKIM_DOMAIN")  # that of the senders or above; empty: each one's own
FCM_CREDENTIALS_FILE = env.text("ENGAGE_FCM_CREDENTIALS_FILE")  # service account JSON; empty: none
FCM_URL = env.url("ENGAGE_FCM_URL", "https://fcm.googleapis.com", schemes=("https",))
APNS_KEY_FILE = env.text("ENGAGE_APNS_KEY_FILE")  # .p8 of Apple; empty: iOS too goes by FCM
APNS_KEY_ID = env.text("ENGAGE_APNS_KEY_ID")
APNS_TEAM_ID = env.text("ENGAGE_APNS_TEAM_ID")
APNS_TOPIC = env.text("ENGAGE_APNS_TOPIC")  # the app's bundle id
APNS_URL = env.url("ENGAGE_APNS_URL", "https://api.push.apple.com", schemes=("https",))
VAPID_KEY_FILE = env.text("ENGAGE_VAPID_KEY_FILE")  # PEM, of make_vapid_key; empty: no web push
VAPID_SUBJECT = env.text("ENGAGE_VAPID_SUBJECT")  # mailto: or https:, whom push services may ask
WEB_PUSH_HOSTS = env.host_patterns(  # where subscriptions of browsers may lead; *: anywhere
    "ENGAGE_WEB_PUSH_HOSTS",
    "fcm.googleapis.com,android.googleapis.com,*.push.services.mozilla.com,"
    "*.notify.windows.com,*.push.apple.com",
)
CA_FILE = env.text("ENGAGE_CA_FILE")  # extra certificates that outgoing TLS trusts
# Where URLs that others gave may lead although it is not public: (host, port), 0 for the usual.
PRIVATE_HOSTS = env.hosts("ENGAGE_PRIVATE_HOSTS")
SMS_URL = env.url("ENGAGE_SMS_URL", "https://api.twilio.com", schemes=("https",))
SMS_ACCOUNT = env.text("ENGAGE_SMS_ACCOUNT")  # empty: no SMS
SMS_TOKEN = env.text("ENGAGE_SMS_TOKEN")
SMS_FROM = env.text("ENGAGE_SMS_FROM")  # +number, sender name or messaging service (MG…)
SMS_HELP = env.text(  # what HELP is answered with
    "ENGAGE_SMS_HELP", "Answer STOP to get no more messages, START to get them again."
)
# The e-mail service: hooks come from there, and with a key mail goes by its API instead of SMTP.
EMAIL_ESP = env.choice(
    "ENGAGE_EMAIL_ESP",
    "",
    options=("", "amazon_ses", "brevo", "mailgun", "postmark", "sendgrid", "sparkpost"),
)
ESP_KEY = env.text("ENGAGE_ESP_KEY")
ESP_URL = env.text("ENGAGE_ESP_URL")  # empty: the service's own
ESP_DOMAIN = env.text("ENGAGE_ESP_DOMAIN")  # Mailgun: the domain that sends
ESP_HOOK_KEY = env.text("ENGAGE_ESP_HOOK_KEY")  # of services that sign their hooks
ANYMAIL_WEBHOOK_SECRET = env.names("ENGAGE_ANYMAIL_WEBHOOK_SECRET", "")  # user:password, each
SNS_TOPICS = env.names("ENGAGE_SNS_TOPICS", "")  # arn:aws:sns:…, the only ones heard; empty: any
HOOK_SECRET = env.text("ENGAGE_HOOK_SECRET")  # whsec_…, of other relays that send receipts
CHANNELS = {
    "email": (
        "delivery.channels.esp.EspChannel" if ESP_KEY else "delivery.channels.smtp.SmtpChannel"
    ),
    "push": "delivery.channels.push.PushChannel",
    "web_push": "delivery.channels.web_push.WebPushChannel",
    "sms": "delivery.channels.sms.SmsChannel",
    "webhook": "delivery.channels.webhook.WebhookChannel",
    "inbox": "delivery.channels.inbox.InboxChannel",
}

# --- Django ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",  # its docs page is served from here, not from elsewhere
    "engage.apps.EngageConfig",
    "engage.profiles.apps.ProfilesConfig",
    "engage.collector.apps.CollectorConfig",
    "catalog.apps.CatalogConfig",
    "recommendations.apps.RecommendationsConfig",
    "delivery.apps.DeliveryConfig",
    "campaigns.apps.CampaignsConfig",
]
# The doors for machines have no middleware at all: see engage/wsgi.py.
MACHINE_PATHS = (
    *("/v1/", "/batch", "/users/track", "/1/"),
    *("/t/", "/u/", "/hooks/"),
    *("/healthz", "/metrics"),
)
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "engage" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "engage.urls"
WSGI_APPLICATION = "engage.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["engage.formats"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "engage" / "static"]
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = max(2 * BATCH_MAX_BYTES, 10_000_000)  # 1,000 products with texts
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
X_FRAME_OPTIONS = "SAMEORIGIN"  # previews are shown in a sandboxed frame of our own pages
SECURE_CONTENT_TYPE_NOSNIFF = True
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
UNFOLD = {
    "SITE_TITLE": "Engage",
    "SITE_HEADER": "Engage",
    "SITE_SUBHEADER": "Personal marketing",
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": f"{STATIC_URL}engage/icon.svg"}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "engage.dashboard.fill",
    "STYLES": [f"{STATIC_URL}engage/admin.css"],
    "SCRIPTS": [f"{STATIC_URL}engage/admin.js"],
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .014 185)",
            "100": "oklch(94.3% .04 183)",
            "200": "oklch(89.5% .075 182)",
            "300": "oklch(83% .11 182)",
            "400": "oklch(74% .125 183)",
            "500": "oklch(64% .115 185)",
            "600": "oklch(52.5% .096 187)",
            "700": "oklch(45.5% .082 188)",
            "800": "oklch(39% .068 189)",
            "900": "oklch(33.5% .056 190)",
            "950": "oklch(24% .043 192)",
        },
    },
    "COMMAND": {"search_models": False, "show_history": True},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "engage.sidebar.navigation",
    },
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "engage.lib.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}
