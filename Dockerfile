# One image per service, and one for the oms command. scripts/images.sh builds them (make images); by hand:
#
#   docker build --target order --tag oms-order:0.1.0 .
#
# RUNTIME_BASE needs glibc, libgcc and the CA bundle: distroless "cc" has no more than that.
# BINARIES=prebuilt takes programs that cargo built outside: the context is then a directory with them in bin/.
ARG BUILD_BASE=rust:1.95-bookworm
ARG RUNTIME_BASE=gcr.io/distroless/cc-debian12:nonroot
ARG BINARIES=build

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
RUN cargo build --profile image --locked \
        --package oms --package oms-order --package oms-inventory --package oms-fulfillment \
        --package oms-shipping --package oms-returns \
    && mkdir /bin-of-oms \
    && for name in oms oms-order oms-inventory oms-fulfillment oms-shipping oms-returns; do \
        strip --strip-all -o "/bin-of-oms/$name" "target/image/$name" || exit 1; \
    done

FROM scratch AS prebuilt
COPY bin /bin-of-oms

FROM ${BINARIES} AS binaries

FROM ${RUNTIME_BASE} AS runtime
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="OMS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, so that Kubernetes sees that it is not root.
USER 65532:65532
WORKDIR /

FROM runtime AS order
LABEL org.opencontainers.image.title="oms-order" \
      org.opencontainers.image.description="Orders, payments, invoices and the order-to-cash saga"
COPY --from=binaries /bin-of-oms/oms-order /usr/local/bin/oms-order
EXPOSE 7001 8001
ENTRYPOINT ["/usr/local/bin/oms-order"]
CMD ["serve"]

FROM runtime AS inventory
LABEL org.opencontainers.image.title="oms-inventory" \
      org.opencontainers.image.description="Items, locations, stock, reservations and the stock ledger"
COPY --from=binaries /bin-of-oms/oms-inventory /usr/local/bin/oms-inventory
EXPOSE 7002 8002
ENTRYPOINT ["/usr/local/bin/oms-inventory"]
CMD ["serve"]

FROM runtime AS fulfillment
LABEL org.opencontainers.image.title="oms-fulfillment" \
      org.opencontainers.image.description="Sourcing, fulfillment orders, waves, picking and packing"
COPY --from=binaries /bin-of-oms/oms-fulfillment /usr/local/bin/oms-fulfillment
EXPOSE 7003 8003
ENTRYPOINT ["/usr/local/bin/oms-fulfillment"]
CMD ["serve"]

FROM runtime AS shipping
LABEL org.opencontainers.image.title="oms-shipping" \
      org.opencontainers.image.description="Carriers, rates, shipments, labels and tracking"
COPY --from=binaries /bin-of-oms/oms-shipping /usr/local/bin/oms-shipping
EXPOSE 7004 8004
ENTRYPOINT ["/usr/local/bin/oms-shipping"]
CMD ["serve"]

FROM runtime AS returns
LABEL org.opencontainers.image.title="oms-returns" \
      org.opencontainers.image.description="Return authorisations, receipts, inspections and dispositions"
COPY --from=binaries /bin-of-oms/oms-returns /usr/local/bin/oms-returns
EXPOSE 7005 8005
ENTRYPOINT ["/usr/local/bin/oms-returns"]
CMD ["serve"]

# The command: verify, smoke, feed, repair, demo.
FROM runtime AS oms
LABEL org.opencontainers.image.title="oms" \
      org.opencontainers.image.description="The oms command: verify, smoke, repair, feed, demo"
COPY --from=binaries /bin-of-oms/oms /usr/local/bin/oms
ENTRYPOINT ["/usr/local/bin/oms"]
CMD ["--help"]
