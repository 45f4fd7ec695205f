#!/usr/bin/env python3
"""Places an order, reads it and lists it, as a client of another language does: from proto/ alone.

    python3 tests/foreign/place_get_list.py --address 127.0.0.1:7001

It needs a running suite (`make up`) and the packages grpcio, grpcio-tools and grpcio-status in the
versions of scripts/tools/python-grpc.txt. `scripts/tools.sh python-grpc` prints an interpreter that
has them. What it sells it makes itself: a channel, a location, an item and stock. It may run as often
as you like, and ends with 0 when every answer was right.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
import uuid

try:
    import grpc
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status
    from grpc_tools import protoc
except ImportError as error:
    sys.exit(
        f"{error}: this needs the packages of scripts/tools/python-grpc.txt. Either\n"
        "    python3 -m pip install -r scripts/tools/python-grpc.txt\n"
        "or run it by the interpreter that `scripts/tools.sh python-grpc` prints."
    )

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKU, LOCATION, CHANNEL = "FOREIGN-1", "foreign", "foreign"
UNITS, PRICE = 2, 1999


def generate(target):
    """Makes Python of the whole contract, so that what is imported is what proto/ says now."""
    proto = ROOT / "proto"
    files = sorted(str(path.relative_to(proto)) for path in proto.rglob("*.proto"))
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{proto}", f"-I{well_known}"]
    arguments += [f"--python_out={target}", f"--grpc_python_out={target}", *files]
    if protoc.main(arguments) != 0:
        sys.exit("proto/ cannot be made Python")
    sys.path.insert(0, target)


def module(name):
    """A generated module: module("order.v1.order_service_pb2")."""
    return importlib.import_module(f"oms.{name}")


def new_id():
    return str(uuid.uuid4())


def check(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")
    print(f"ok: {what}")


def address(**parts):
    return module("common.v1.address_pb2").PostalAddress(
        recipient="Claire Gute",
        address_lines=["1 Main St"],
        locality="Sacramento",
        administrative_area="CA",
        postal_code="95814",
        country_code="US",
        **parts,
    )


def usd(minor_units):
    return module("common.v1.money_pb2").Money(currency_code="USD", minor_units=minor_units)


class Shop:
    """The suite as a shop sees it: the order service, and inventory to have something to sell."""

    def __init__(self, order, inventory, principal):
        self.order = grpc.insecure_channel(order)
        self.inventory = grpc.insecure_channel(inventory)
        self.metadata = [("oms-principal", principal)]

    def call(self, channel, service, method, request):
        """Calls Order.PlaceOrder as call(self.order, "order.v1.order_service", "PlaceOrder", ..)."""
        stubs = module(f"{service}_pb2_grpc")
        name = "".join(part.capitalize() for part in service.rsplit(".", 1)[1].split("_"))
        stub = getattr(stubs, f"{name}Stub")(channel)
        return getattr(stub, method)(request, metadata=self.metadata, timeout=30, wait_for_ready=True)

    def set_up(self):
        """Makes what is sold: may be done again and again."""
        channels = module("order.v1.channel_service_pb2")
        channel = module("order.v1.channel_pb2").Channel(
            channel_id=CHANNEL,
            name="Foreign client",
            currency_code="USD",
            number_prefix="PY-",
            payment_policy="PAYMENT_POLICY_AUTH_THEN_CAPTURE_ON_SHIP",
            tax_rate_ppm=82_500,
            tax_rounding="ROUNDING_MODE_HALF_UP",
            default_fill_policy="FILL_POLICY_FILL_OR_KILL",
        )
        request = channels.UpsertChannelRequest(request_id=new_id(), channel=channel)
        self.call(self.order, "order.v1.channel_service", "UpsertChannel", request)
        location = module("inventory.v1.location_pb2").Location(
            location_id=LOCATION, name="Foreign", address=address(), active=True, latitude=38.6, longitude=-121.5
        )
        locations = module("inventory.v1.location_service_pb2")
        request = locations.UpsertLocationRequest(request_id=new_id(), location=location)
        self.call(self.inventory, "inventory.v1.location_service", "UpsertLocation", request)
        dimensions = module("common.v1.dimensions_pb2").Dimensions(length_mm=200, width_mm=100, height_mm=50)
        item = module("inventory.v1.item_pb2").Item(
            sku=SKU, name="Foreign item", barcodes=["foreign-1"], dimensions=dimensions, mass_grams=500, active=True
        )
        items = module("inventory.v1.item_service_pb2")
        request = items.BatchUpsertItemsRequest(request_id=new_id(), items=[item])
        self.call(self.inventory, "inventory.v1.item_service", "BatchUpsertItems", request)
        stock = module("inventory.v1.stock_service_pb2")
        line = stock.ReceiveStockLine(sku=SKU, quantity=UNITS)
        request = stock.ReceiveStockRequest(request_id=new_id(), location_id=LOCATION, lines=[line])
        self.call(self.inventory, "inventory.v1.stock_service", "ReceiveStock", request)

    def orders(self, method, request):
        return self.call(self.order, "order.v1.order_service", method, request)


def new_order(reference, sku=SKU):
    messages = module("order.v1.order_service_pb2")
    payment = module("order.v1.payment_pb2").PaymentMethod(provider="sandbox", token="tok_approve")
    line = messages.NewOrderLine(sku=sku, quantity=UNITS, unit_price=usd(PRICE))
    order = messages.NewOrder(
        channel_id=CHANNEL,
        external_reference=reference,
        currency_code="USD",
        lines=[line],
        ship_to=address(),
        payment_method=payment,
        custom_fields={"shop": "foreign"},
    )
    return messages.PlaceOrderRequest(request_id=new_id(), order=order, wait_for="WAIT_FOR_CONFIRMED")


def place(shop, reference):
    request = new_order(reference)
    order = shop.orders("PlaceOrder", request).order
    state = module("order.v1.order_pb2").OrderState.Name(order.state)
    check(state == "ORDER_STATE_CONFIRMED", f"order {order.order_number} is confirmed, and not {state}")
    check(order.order_number.startswith("PY-"), "its number has the prefix of the channel")
    check(order.totals.subtotal == usd(UNITS * PRICE), "its goods cost what was asked")
    check(order.totals.total.minor_units > UNITS * PRICE, "its tax was added")
    check([line.allocated for line in order.lines] == [UNITS], "its units are allocated")
    again = shop.orders("PlaceOrder", request).order
    check(again.order_id == order.order_id, "the same request again answers the same order")
    return order


def get(shop, order, reference):
    messages = module("order.v1.order_service_pb2")
    by_id = shop.orders("GetOrder", messages.GetOrderRequest(order_id=order.order_id)).order
    check(by_id.order_number == order.order_number, "it is found by its id")
    check(by_id.totals == order.totals and len(by_id.lines) == 1, "with its amounts and lines")
    check(dict(by_id.custom_fields) == {"shop": "foreign"}, "and its own fields")
    request = messages.GetOrderRequest(channel_id=CHANNEL, external_reference=reference)
    by_reference = shop.orders("GetOrder", request).order
    check(by_reference.order_id == order.order_id, "it is found by the shop's reference")


def list_orders(shop, order):
    messages = module("order.v1.order_service_pb2")
    request = messages.ListOrdersRequest(order_number=order.order_number)
    found = [one.order_id for one in shop.orders("ListOrders", request).orders]
    check(found == [order.order_id], "it is listed by its number")
    request = messages.ListOrdersRequest(channel_id=CHANNEL, page_size=1)
    seen = []
    while True:
        page = shop.orders("ListOrders", request)
        seen += [one.order_id for one in page.orders]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    check(seen.count(order.order_id) == 1, f"it is once among the {len(seen)} orders of its channel")
    check(len(seen) == len(set(seen)), "no order is on two pages")


def refused(shop):
    try:
        shop.orders("PlaceOrder", new_order(new_id(), sku="NOBODY-SELLS-THIS"))
    except grpc.RpcError as error:
        check(error.code() == grpc.StatusCode.INVALID_ARGUMENT, "an unknown SKU is an invalid argument")
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in rpc_status.from_call(error).details:
            detail.Unpack(info) or detail.Unpack(bad)
        check((info.reason, info.domain) == ("SKU_UNKNOWN", "oms"), "with a reason for machines")
        fields = [violation.field for violation in bad.field_violations]
        check(fields == ["lines[0].sku"], "and the field that is wrong")
        return
    check(False, "an unknown SKU is refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1:7001", help="the order service")
    parser.add_argument("--inventory", default="127.0.0.1:7002", help="the inventory service")
    parser.add_argument("--principal", default="user:foreign", help="who calls")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as target:
        generate(target)
        shop = Shop(arguments.address, arguments.inventory, arguments.principal)
        shop.set_up()
        reference = new_id()
        order = place(shop, reference)
        get(shop, order, reference)
        list_orders(shop, order)
        refused(shop)
    print(f"done: order {order.order_number}")


if __name__ == "__main__":
    main()
