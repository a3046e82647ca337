# One image for the code server, the webserver, the daemon and `migrate`, made of the files of this repository only.
# The versions are those that the tests ran with: constraints.txt.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /build
# what the package needs changes seldom, and is a layer of its own; the package itself follows
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir analytics_assets \
    && touch analytics_assets/__init__.py \
    && /opt/venv/bin/pip install --constraint constraints.txt '.[ui,s3,postgres]' \
    && /opt/venv/bin/pip uninstall --yes analytics-assets \
    && rm -rf analytics_assets build ./*.egg-info
COPY analytics_assets ./analytics_assets
RUN /opt/venv/bin/pip install --no-deps .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 analytics \
    && useradd --uid 10001 --gid analytics --no-create-home --shell /usr/sbin/nologin analytics \
    && install --directory --owner analytics --group analytics \
        /opt/dagster /opt/dagster/storage /var/lib/analytics /var/lib/analytics/tmp
COPY --from=build /opt/venv /opt/venv
COPY deploy/dagster.yaml deploy/workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    DAGSTER_HOME=/opt/dagster \
    DAGSTER_EVENT_BATCH_SIZE=1000 \
    ANALYTICS_LAKE=/var/lib/analytics/lake \
    ANALYTICS_EXPORTS=/var/lib/analytics/exports \
    ANALYTICS_CHARTS=/var/lib/analytics/charts \
    ANALYTICS_REPORTS=/var/lib/analytics/reports
WORKDIR /opt/dagster
USER 10001:10001
CMD ["analytics-assets", "--help"]
