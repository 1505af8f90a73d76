# One image for the daemons and the simulator: the command says which. Versions and hashes are
# those of requirements/, as everywhere.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/ requirements/
# What builds the package stays in this stage; what it needs to run goes into a bare environment.
RUN python -m venv --without-pip /opt/ctp10 \
    && pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && pip --python /opt/ctp10/bin/python install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY acquisitiond/ acquisitiond/
COPY common/ common/
COPY ctp10/ ctp10/
COPY wsbridge/ wsbridge/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/ctp10/bin/python install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ctp10
COPY --from=build /opt/ctp10 /opt/ctp10
ENV PATH=/opt/ctp10/bin:$PATH PYTHONUNBUFFERED=1
USER ctp10
CMD ["ctp10", "--help"]
