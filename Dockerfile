# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PREFIX=/opt/mqlstream
WORKDIR /src
# Compiler and dependencies first: they change less often than the code and stay in the cache.
COPY requirements.lock requirements-build.lock ./
COPY deploy/image/install deploy/image/
RUN deploy/image/install compiler
RUN deploy/image/install dependencies "$PREFIX"
COPY pyproject.toml README.md LICENSE ./
COPY mqlstream mqlstream
COPY topics topics
COPY config config
RUN deploy/image/install application "$PREFIX"

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="mqlstream" \
      org.opencontainers.image.description="Kafka-native lead scoring: every MQL exactly once, explained" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 mqlstream \
 && useradd --system --uid 10001 --gid mqlstream --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mqlstream \
 && install --directory --owner=mqlstream --group=mqlstream /var/lib/mqlstream
COPY --from=build /opt/mqlstream /opt/mqlstream
# Inside a container the port is opened by whoever runs it, so metrics and health may listen on all addresses.
ENV PATH=/opt/mqlstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MQLSTREAM_HTTP_BIND=0.0.0.0:8080 \
    MQLSTREAM_STATE_DIR=/var/lib/mqlstream
USER 10001:10001
WORKDIR /var/lib/mqlstream
VOLUME /var/lib/mqlstream
EXPOSE 8080
# The worker drains on SIGTERM and is its own process 1: it starts no children and needs no init.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2).close()"]
ENTRYPOINT ["mqlstream"]
CMD ["run"]
