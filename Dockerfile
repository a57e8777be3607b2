# One image for every role: docker run IMAGE serve | listen | work
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    HUB_DATA=/data

# A machine with a GPU takes its own build of torch by this argument.
ARG TORCH="torch==2.13.0"

WORKDIR /opt/hub
COPY pyproject.toml constraints.txt README.md ./
RUN pip install ${TORCH}
COPY service service
COPY model model
COPY pacs_gateway pacs_gateway
COPY labeling labeling
COPY training training
RUN pip install -c constraints.txt . \
    && useradd --system --uid 10001 --home-dir /data hub \
    && install -d -o hub -g hub /data

USER hub
VOLUME /data
EXPOSE 8080 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"
ENTRYPOINT ["hub"]
CMD ["serve"]
