# One image for the services and the operator's commands. The development packages (simulator, dev-services, demo, prove) are not in it.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.base.json tsconfig.build.json ./
COPY packages packages
COPY services services
RUN npm ci --ignore-scripts && npm run build
RUN rm -rf node_modules \
  && npm ci --ignore-scripts --omit=dev --workspace=services/ingress --workspace=services/sql-to-postgres --workspace=services/postgres-to-sql --workspace=packages/cli \
  && rm -rf packages/sqlserver-simulator packages/dev-services packages/demo packages/prove packages/*/src packages/*/test services/*/src services/*/test
COPY migrations migrations

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app /app
USER node
