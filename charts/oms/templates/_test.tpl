{{- /* Whether the pod of `helm test` is known by its certificate, its own or that of the mesh, and not by a token. */ -}}
{{- define "oms.testByCertificate" -}}
{{- if and .Values.test.enabled (not .Values.test.existingSecret) }}true{{ end -}}
{{- end }}

{{- /* What it may call of a service, as a list in TOML: what `oms smoke` needs. */ -}}
{{- define "oms.testCalls" -}}
{{- $calls := get (dict
  "order" (list "OrderService/PlaceOrder" "OrderService/GetOrder" "OrderService/CancelOrder" "PaymentService/ListPayments")
  "inventory" (list "StockService/BatchGetAvailability" "ReservationService/ListReservations")
  "fulfillment" (list "FulfillmentOrderService/ListFulfillmentOrders")
  "shipping" (list "RateService/QuoteRates")
  "returns" (list "ReturnService/ListReturns")
) .service -}}
{{- if .root.Values.test.prepare -}}
{{- $calls = concat $calls (get (dict
  "order" (list "ChannelService/ListChannels" "ChannelService/UpsertChannel")
  "inventory" (list "LocationService/GetLocation" "LocationService/UpsertLocation" "ItemService/BatchGetItems" "ItemService/BatchUpsertItems" "StockService/ReceiveStock")
) .service | default list) -}}
{{- end -}}
{{- $calls | toJson -}}
{{- end }}

{{- /* What a test that cannot pass lacks. */ -}}
{{- define "oms.refuseTest" -}}
{{- $values := .Values -}}
{{- $test := $values.test -}}
{{- if $test.enabled -}}
  {{- if and (eq $test.provider "sandbox") (not $values.dev.enabled) (not $values.services.order.config.PAYMENTS__SANDBOX__URL) -}}
    {{- fail "test.provider is sandbox, which the order service does not have: set services.order.config.PAYMENTS__SANDBOX__URL, or test.provider and test.paymentToken of another provider" -}}
  {{- end -}}
  {{- if and (eq $test.provider "stripe") (not $values.payments.stripe.existingSecret) -}}
    {{- fail "test.provider is stripe, which the order service does not have: set payments.stripe.existingSecret" -}}
  {{- end -}}
  {{- if and (eq $test.provider "stripe") (not (regexMatch "^(cus_[^/]+/)?pm_" $test.paymentToken)) -}}
    {{- fail (printf "test.paymentToken is %q: Stripe takes pm_.. or cus_../pm_.., such as pm_card_visa with keys of its test mode" $test.paymentToken) -}}
  {{- end -}}
  {{- if and $values.tls.terminatedByProxy (not $values.tls.clientCertificateHeader) (not $test.existingSecret) -}}
    {{- fail (printf "test.existingSecret is required: name a Secret whose key %q holds a token or an API key, or set tls.clientCertificateHeader, by which the mesh says who the pod of the test is" $test.key) -}}
  {{- end -}}
  {{- if and $test.existingSecret (not (or $values.auth.jwt.issuer $values.auth.apiKeys.existingSecret)) -}}
    {{- fail "test.existingSecret needs auth.jwt or auth.apiKeys: the services take neither tokens nor API keys" -}}
  {{- end -}}
{{- end -}}
{{- end }}
