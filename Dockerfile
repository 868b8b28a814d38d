# docker build -t ihcli .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" ihcli explain model.pt data.csv -o run

FROM python:3.13-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --quiet --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib
COPY constraints.txt /
# Torch for CPUs first: the one of the package index brings gigabytes of CUDA.
RUN pip install --quiet --constraint /constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --quiet --constraint /constraints.txt "$(echo /wheels/*.whl)[captum,games,plot,report]"
RUN useradd --create-home ihcli
USER ihcli
WORKDIR /work
ENTRYPOINT ["ihcli"]
CMD ["--help"]
