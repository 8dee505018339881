# `lstm` without TensorFlow: predict, explain, eval, runs and serve, with the versions and hashes of deploy/serve.txt.
# docs/deploy.md says how to run it. Without a container engine, deploy/try_dockerfile.py executes these steps.
FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/lstm
WORKDIR /src
# The packages first: their layer is kept until the list changes.
COPY deploy/serve.txt ./
RUN /opt/lstm/bin/pip install --no-cache-dir --no-deps --no-compile --require-hashes --requirement serve.txt
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY docs/cli.md docs/man.py docs/
COPY configs configs
COPY lstm_cli lstm_cli
# Nothing can be compiled or installed later: the file system is read-only. What prediction does not import is removed.
RUN PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
    /opt/lstm/bin/pip install --no-cache-dir --no-deps --no-compile . \
 && /opt/lstm/bin/pip uninstall --quiet --yes pip \
 && find /opt/lstm/lib -type d '(' -name tests -o -path '*/onnxruntime/transformers' ')' -prune -exec rm -r '{}' + \
 && python3 -m compileall -q -x '/(tools|quantization)/' /opt/lstm/lib

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libstdc++6 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin lstm \
 && mkdir /runs
COPY --from=build /opt/lstm /opt/lstm
# Runs are mounted at /runs. An archive (`--run model.zip`) is unpacked in /tmp.
ENV PATH=/opt/lstm/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LSTM_RUNS_DIR=/runs \
    LSTM_CACHE_DIR=/tmp/lstm
WORKDIR /runs
# A number: Kubernetes checks `runAsNonRoot` by it.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python3", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["lstm"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
