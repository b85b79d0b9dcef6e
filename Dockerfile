# Tidemark's command line; without arguments it is a worker. Build: docker build -t tidemark .
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm install --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm install --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
# V8 takes what memory there is for garbage; a worker needs about this much. The C library keeps what was freed, for each of its
# arenas; so large pieces go back at once, and there are two.
ENV NODE_OPTIONS="--max-old-space-size=384 --max-semi-space-size=16"
ENV MALLOC_ARENA_MAX=2
ENV MALLOC_MMAP_THRESHOLD_=262144
ENV MALLOC_TRIM_THRESHOLD_=1048576
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# The embedded store or the spool of a tracker, if either is used; a worker writes nothing.
RUN mkdir /data && chown node:node /data
ENV TIDEMARK_DIR=/data
VOLUME /data
USER node
EXPOSE 9464
ENTRYPOINT ["node", "/app/dist/app/cli/main.js"]
CMD ["project"]
