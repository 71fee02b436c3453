# docker build -t distgrid . && docker run --rm -v "$PWD/runs:/home/grid/runs" distgrid version
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 grid
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt /src && rm -rf /src

# Results go to a folder that the plain user owns; kernels are cached under the same home.
USER grid
WORKDIR /home/grid
RUN mkdir runs
VOLUME /home/grid/runs
HEALTHCHECK --interval=60s --timeout=30s CMD ["distgrid", "version"]
ENTRYPOINT ["distgrid"]
CMD ["--help"]
