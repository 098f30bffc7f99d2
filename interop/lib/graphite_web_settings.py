"""graphite-web's local settings: everything it shows comes from the servers in $INTEROP_SERVERS."""
import os

STORAGE_DIR = LOG_DIR = os.environ["INTEROP_FOLDER"]
SECRET_KEY = "interop"
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"
STANDARD_DIRS = [os.path.join(STORAGE_DIR, "no-files-of-its-own")]
CLUSTER_SERVERS = os.environ["INTEROP_SERVERS"].split()
TAGDB = "graphite.tags.http.HttpTagDB"
TAGDB_HTTP_URL = os.environ["INTEROP_TAG_SERVER"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_CACHE_DURATION = 0
FIND_CACHE_DURATION = 0
MEMCACHE_HOSTS = []
