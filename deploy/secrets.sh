#!/bin/sh
# Writes the secrets of compose.yaml into deploy/secrets, each once; what is there stays.
#
#     OPENAI_API_KEY=sk-... deploy/secrets.sh
#
# The folder is its owner's alone. The files in it are readable to all because compose mounts them as
# they are, and the containers run as users that this machine does not know.
set -eu
umask 077
home=$(dirname "$0")/secrets
mkdir -p "$home"
cd "$home"

random() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }
keep() { # keep NAME: standard input, unless the file is there already
  [ -s "$1" ] || { cat >"$1.new" && chmod 0444 "$1.new" && mv "$1.new" "$1"; }
}

if [ ! -s openai_api_key ]; then
  [ -n "${OPENAI_API_KEY:-}" ] || { echo "set OPENAI_API_KEY to your provider's key" >&2; exit 1; }
  printf %s "$OPENAI_API_KEY" | keep openai_api_key
fi
random | keep postgres_password
printf 'postgresql://turnout:%s@postgres:5432/turnout' "$(cat postgres_password)" | keep database_url
random | keep redis_password
printf 'requirepass %s\n' "$(cat redis_password)" | keep redis_conf
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | keep redis_url
