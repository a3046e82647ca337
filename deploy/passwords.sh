#!/bin/sh
# Print the four passwords of a deployment, each of 192 random bits: sh deploy/passwords.sh >> .env
set -eu

for name in ADMIN HISTORY WAREHOUSE WAREHOUSE_READER; do
    printf "ANALYTICS_%s_PASSWORD='%s'\n" "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
