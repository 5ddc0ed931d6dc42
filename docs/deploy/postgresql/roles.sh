#!/bin/sh
# The role that the instance connects as: it owns its database, and is neither superuser nor above row-level security.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$(cat /run/secrets/crm-password)" --username=postgres <<'SQL'
CREATE ROLE crm LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE crm OWNER crm TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
SQL
