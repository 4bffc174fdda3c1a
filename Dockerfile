# One image for the API and all workers; the command decides which. Workers on GPUs: Dockerfile.gpu.
FROM node:22-bookworm-slim AS build
# For the native addon (docs/native.md); the final image has no compiler.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY . .
RUN node tools/bootstrap.mjs

FROM node:22-bookworm-slim
ENV NODE_ENV=production MODELPRESS_HOME=/var/lib/modelpress MODELPRESS_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app /app
RUN mkdir -p /var/lib/modelpress && chown node:node /var/lib/modelpress
USER node
VOLUME /var/lib/modelpress
EXPOSE 7077
CMD ["node", "apps/api/dist/main.js"]
