import pytest

from delivery.checks import check_channels

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"


def test_channels_that_are_not_set_up_are_fine(settings):
    settings.SMTP_URL = settings.FCM_CREDENTIALS_FILE = settings.CA_FILE = ""
    settings.APNS_KEY_FILE = settings.APNS_KEY_ID = settings.APNS_TEAM_ID = settings.APNS_TOPIC = (
        ""
    )
    settings.VAPID_KEY_FILE = settings.VAPID_SUBJECT = ""
    assert check_channels(None) == []


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("SMTP_URL", "mail.example", "ENGAGE_SMTP_URL cannot be read: expected smtp://"),
        ("FCM_CREDENTIALS_FILE", "/nowhere.json", "ENGAGE_FCM_CREDENTIALS_FILE cannot be used"),
        ("CA_FILE", "/nowhere.pem", "ENGAGE_CA_FILE: there is no such file"),
        ("FCM_URL", "http://fcm.example", "ENGAGE_FCM_URL: must begin with https://"),
        ("SMS_TOKEN", "sesame", "ENGAGE_SMS_ACCOUNT is not set"),
        ("APNS_KEY_FILE", "/nowhere.p8", "ENGAGE_APNS_KEY_FILE cannot be used"),
        ("APNS_TEAM_ID", "TEAM567890", "ENGAGE_APNS_KEY_FILE is not set"),
        ("APNS_TOPIC", "example.app", "ENGAGE_APNS_KEY_FILE is not set"),
        ("APNS_URL", "http://apns.example", "ENGAGE_APNS_URL: must begin with https://"),
        ("VAPID_KEY_FILE", "/nowhere.pem", "ENGAGE_VAPID_KEY_FILE cannot be used"),
        ("VAPID_SUBJECT", "mailto:a@shop.example", "ENGAGE_VAPID_KEY_FILE is not set"),
        ("DKIM_KEY_FILE", "/nowhere.pem", "ENGAGE_DKIM_KEY_FILE cannot be used (FileNotFound"),
        ("DKIM_SELECTOR", "engage", "ENGAGE_DKIM_KEY_FILE is not set: make one with"),
        ("DKIM_DOMAIN", "shop.example", "ENGAGE_DKIM_KEY_FILE is not set: make one with"),
        ("HOOK_SECRET", "whsec_short", "ENGAGE_HOOK_SECRET: is no base64"),
        ("HOOK_SECRET", "whsec_c2hvcnQ=", "ENGAGE_HOOK_SECRET: has 5 bytes"),
        ("ANYMAIL_WEBHOOK_SECRET", ["me:short"], "ENGAGE_ANYMAIL_WEBHOOK_SECRET: expected user:"),
        ("ESP_KEY", "sesame", "ENGAGE_EMAIL_ESP is not set"),
        ("ESP_URL", "http://esp.example/", "ENGAGE_ESP_URL: must begin with https://"),
        ("SNS_TOPICS", [TOPIC, "shop-mail"], "ENGAGE_SNS_TOPICS: 'shop-mail' names no topic"),
        ("SNS_TOPICS", [f"{TOPIC}:7f3c"], f"ENGAGE_SNS_TOPICS: '{TOPIC}:7f3c' names no topic"),
        ("PROVIDER_TIMEOUT_SECONDS", 30, "ENGAGE_SEND_LEASE_SECONDS: must be more than twice"),
    ],
)
def test_a_wrong_setting_is_said_at_start(settings, setting, value, said):
    setattr(settings, setting, value)
    [problem] = check_channels(None)
    assert problem.msg.startswith(said)


def test_a_key_of_hooks_that_is_none_is_said_at_start(settings):
    settings.EMAIL_ESP, settings.ESP_HOOK_KEY = "sendgrid", "no key at all"
    [problem] = check_channels(None)
    assert problem.msg.startswith("ENGAGE_ESP_HOOK_KEY cannot be used with sendgrid: ")


def test_hooks_of_amazon_need_nothing_but_a_password(settings):
    settings.EMAIL_ESP = "amazon_ses"
    settings.ANYMAIL_WEBHOOK_SECRET = ["me:a-long-password-of-mine"]
    settings.SNS_TOPICS = [TOPIC, "arn:aws-us-gov:sns:us-gov-west-1:123456789012:shop_mail"]
    assert check_channels(None) == []
