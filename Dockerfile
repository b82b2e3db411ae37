# One image for the three services and the operator's commands; a second one, for `docker compose --profile demo` only, adds the
# invented clinic. Nothing of the simulator, the tests or the development packages is in either.
#
#   docker build -t clinic-sync .
#   docker build -t clinic-sync-demo --target demo .

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.base.json tsconfig.build.json ./
COPY packages packages
COPY services services
# The development packages are compiled as well: the demo's runner is one of them.
RUN npm ci --ignore-scripts --no-audit --no-fund && npm run build
# What runs, and no more. Each package is reached from one of these, so nothing else gets in.
RUN node packages/container/dist/collect-image.js /image \
  services/ingress services/sql-to-postgres services/postgres-to-sql packages/cli packages/container
RUN mkdir -p /demo/packages/demo /demo/packages/sqlserver-simulator \
  && cp -R packages/demo/package.json packages/demo/dist /demo/packages/demo/ \
  && cp packages/sqlserver-simulator/clinic-schema.sql /demo/packages/sqlserver-simulator/ \
  && find /demo -type f \( -name '*.map' -o -name '*.d.ts' -o -name '.tsbuildinfo' \) -delete

# The binary alone: the official image's npm, yarn and headers (80 MB) would never run here.
FROM debian:bookworm-slim AS clinic-sync
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin clinic-sync
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /image ./
COPY migrations migrations
# What the commands call themselves in what they say.
ENV NODE_ENV=production SYNC_COMMAND="docker compose run --rm sync"
USER 10001:10001
STOPSIGNAL SIGTERM
# No query is behind it: the service says what it knows. Where nothing listens (a command), the container has no health to ask for.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "packages/container/dist/healthcheck.js"]
ENTRYPOINT ["node"]
CMD ["packages/cli/dist/main.js", "--help"]

FROM clinic-sync AS demo
COPY --from=build /demo ./
CMD ["packages/demo/dist/container/main.js"]

# What `docker build .` makes.
FROM clinic-sync
