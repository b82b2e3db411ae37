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
# What runs, and no more: the services' and the commands' dependencies without what only people and compilers read.
RUN rm -rf node_modules \
  && npm ci --ignore-scripts --no-audit --no-fund --omit=dev \
    --workspace=services/ingress --workspace=services/sql-to-postgres --workspace=services/postgres-to-sql \
    --workspace=packages/cli --workspace=packages/container \
  && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -iname '*.md' -o -name '*.flow' \) -delete
# Packages are taken one by one, so that a new one is not in the image unless it is named here.
RUN mkdir -p /image/packages /image/services \
  && for each in packages/broker packages/cli packages/clinic packages/container packages/contracts packages/mapping packages/operations \
    packages/portal packages/runtime packages/sync services/ingress services/postgres-to-sql services/sql-to-postgres; do \
    mkdir -p "/image/$each" && cp -R "$each/package.json" "$each/dist" "/image/$each/" \
    && if [ -d "$each/node_modules" ]; then cp -R "$each/node_modules" "/image/$each/"; fi; \
  done \
  && find /image -type f \( -name '*.map' -o -name '*.d.ts' -o -name '.tsbuildinfo' \) -delete \
  && cp package.json /image/ && cp -R node_modules /image/node_modules \
  && find /image/node_modules -xtype l -delete
RUN mkdir -p /demo/packages/demo /demo/packages/sqlserver-simulator /demo/node_modules/@clinic-sync \
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
