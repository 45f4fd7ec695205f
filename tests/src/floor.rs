//! The floor and the dock of a location: wave, pick, pack, ship, track.

use anyhow::Context;
use oms_proto::common::v1::Dimensions;
use oms_proto::fulfillment::v1 as f;
use oms_proto::shipping::v1 as s;

use crate::fresh_id;
use crate::suite::{Actor, answered, wait_for};

impl Actor {
    /// Fulfillment orders of an order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn fulfillment_orders(
        &self,
        order_id: &str,
    ) -> anyhow::Result<Vec<f::FulfillmentOrder>> {
        let request = f::ListFulfillmentOrdersRequest {
            order_id: order_id.to_owned(),
            ..Default::default()
        };
        let answer = answered("list fulfillment orders", || async {
            self.clients
                .fulfillment_orders()
                .list_fulfillment_orders(request.clone())
                .await
        })
        .await?;
        Ok(answer.fulfillment_orders)
    }

    /// Waits until an order has so many open fulfillment orders.
    ///
    /// # Errors
    /// When it does not get them.
    pub async fn released(
        &self,
        order_id: &str,
        count: usize,
    ) -> anyhow::Result<Vec<f::FulfillmentOrder>> {
        wait_for("fulfillment orders", || async {
            let mut all = self.fulfillment_orders(order_id).await?;
            all.retain(|one| one.state() == f::FulfillmentOrderState::Open);
            Ok(if all.len() == count {
                Ok(all)
            } else {
                Err(format!("{all:?}"))
            })
        })
        .await
    }

    /// Releases a fulfillment order to the floor and takes its pick list.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn pick_list(&self, fo: &f::FulfillmentOrder) -> anyhow::Result<f::PickList> {
        let request = f::CreateWaveRequest {
            request_id: fresh_id(),
            location_id: fo.location_id.clone(),
            fulfillment_order_ids: vec![fo.fulfillment_order_id.clone()],
            ..Default::default()
        };
        let answer = answered("wave", || async {
            self.clients.waves().create_wave(request.clone()).await
        })
        .await?;
        let wave = answer.wave.context("no wave")?;
        let pick_list_id = wave.pick_list_ids.first().context("no pick list")?.clone();
        let request = f::AssignPickListRequest {
            request_id: fresh_id(),
            pick_list_id,
            ..Default::default()
        };
        let answer = answered("assign", || async {
            self.clients
                .picking()
                .assign_pick_list(request.clone())
                .await
        })
        .await?;
        answer.pick_list.context("no pick list")
    }

    /// Scans units of a pick line.
    ///
    /// # Errors
    /// When the scan is refused.
    pub async fn scan(
        &self,
        list: &f::PickList,
        line: &f::PickLine,
        quantity: i64,
    ) -> anyhow::Result<()> {
        let request = f::ScanPickRequest {
            request_id: fresh_id(),
            pick_list_id: list.pick_list_id.clone(),
            pick_line_id: line.pick_line_id.clone(),
            barcode: line.barcodes.first().cloned().unwrap_or_default(),
            quantity,
        };
        answered("scan", || async {
            self.clients.picking().scan_pick(request.clone()).await
        })
        .await?;
        Ok(())
    }

    /// Reports units of a pick line as missing.
    ///
    /// # Errors
    /// When the report is refused.
    pub async fn short(
        &self,
        list: &f::PickList,
        line: &f::PickLine,
        quantity: i64,
    ) -> anyhow::Result<()> {
        let request = f::ReportShortPickRequest {
            request_id: fresh_id(),
            pick_list_id: list.pick_list_id.clone(),
            pick_line_id: line.pick_line_id.clone(),
            quantity,
            reason: "NOT_FOUND".to_owned(),
        };
        answered("short", || async {
            self.clients
                .picking()
                .report_short_pick(request.clone())
                .await
        })
        .await?;
        Ok(())
    }

    /// Picks everything of a fulfillment order.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn pick_all(&self, fo: &f::FulfillmentOrder) -> anyhow::Result<()> {
        let list = self.pick_list(fo).await?;
        for line in &list.lines {
            self.scan(&list, line, line.quantity).await?;
        }
        Ok(())
    }

    /// Packs units by barcode into one package and closes the session; answers the session.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn pack(
        &self,
        fulfillment_order_id: &str,
        units: &[(String, i64)],
    ) -> anyhow::Result<f::PackSession> {
        let request = f::OpenPackSessionRequest {
            request_id: fresh_id(),
            fulfillment_order_id: fulfillment_order_id.to_owned(),
        };
        let answer = answered("open", || async {
            self.clients
                .packing()
                .open_pack_session(request.clone())
                .await
        })
        .await?;
        let session_id = answer.pack_session.context("no session")?.pack_session_id;
        for (barcode, quantity) in units {
            let request = f::ScanPackRequest {
                request_id: fresh_id(),
                pack_session_id: session_id.clone(),
                package_number: 1,
                barcode: barcode.clone(),
                quantity: *quantity,
            };
            answered("pack", || async {
                self.clients.packing().scan_pack(request.clone()).await
            })
            .await?;
        }
        let request = f::MeasurePackageRequest {
            request_id: fresh_id(),
            pack_session_id: session_id.clone(),
            package_number: 1,
            mass_grams: 1_200,
            dimensions: Some(Dimensions {
                length_mm: 400,
                width_mm: 300,
                height_mm: 200,
            }),
        };
        answered("measure", || async {
            self.clients
                .packing()
                .measure_package(request.clone())
                .await
        })
        .await?;
        let request = f::ClosePackSessionRequest {
            request_id: fresh_id(),
            pack_session_id: session_id,
            ..Default::default()
        };
        let answer = answered("close", || async {
            self.clients
                .packing()
                .close_pack_session(request.clone())
                .await
        })
        .await?;
        answer.pack_session.context("no session")
    }

    /// Waits for the labeled shipment of a pack session.
    ///
    /// # Errors
    /// When there is none.
    pub async fn labeled(&self, session: &f::PackSession) -> anyhow::Result<s::Shipment> {
        wait_for("a labeled shipment", || async {
            let request = s::ListShipmentsRequest {
                states: vec![s::ShipmentState::Labeled.into()],
                page_size: 500,
                ..Default::default()
            };
            let answer = answered("list shipments", || async {
                self.clients
                    .shipments()
                    .list_shipments(request.clone())
                    .await
            })
            .await?;
            let mut all = answer.shipments.into_iter();
            let found = all.find(|one| one.pack_session_id == session.pack_session_id);
            Ok(found.ok_or_else(|| format!("none of {session:?}")))
        })
        .await
    }

    /// Hands a shipment over.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ship(&self, shipment: &s::Shipment) -> anyhow::Result<()> {
        let request = s::ConfirmShipRequest {
            request_id: fresh_id(),
            shipment_id: shipment.shipment_id.clone(),
            ..Default::default()
        };
        answered("ship", || async {
            self.clients.shipments().confirm_ship(request.clone()).await
        })
        .await?;
        Ok(())
    }

    /// Scans all packages of a shipment.
    ///
    /// # Errors
    /// When a scan is refused.
    pub async fn track(
        &self,
        shipment: &s::Shipment,
        status: s::TrackingStatus,
    ) -> anyhow::Result<()> {
        for package in &shipment.packages {
            let request = s::RecordTrackingEventRequest {
                request_id: fresh_id(),
                carrier_id: shipment.carrier_id.clone(),
                tracking_number: package.tracking_number.clone(),
                carrier_event_id: format!("{}-{status:?}", package.package_id),
                status: status.into(),
                description: String::new(),
                occur_time: Some(oms_proto::time_to_proto(oms_core::Clock::now(
                    &oms_core::SystemClock,
                ))),
            };
            answered("track", || async {
                self.clients
                    .tracking()
                    .record_tracking_event(request.clone())
                    .await
            })
            .await?;
        }
        Ok(())
    }

    /// Takes a fulfillment order from the wave to the customer's door; answers the shipment.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn fulfill(&self, fo: &f::FulfillmentOrder) -> anyhow::Result<s::Shipment> {
        self.pick_all(fo).await?;
        let units: Vec<(String, i64)> = fo
            .lines
            .iter()
            .map(|line| {
                (
                    line.barcodes.first().cloned().unwrap_or_default(),
                    line.total,
                )
            })
            .collect();
        let session = self.pack(&fo.fulfillment_order_id, &units).await?;
        let shipment = self.labeled(&session).await?;
        self.ship(&shipment).await?;
        self.track(&shipment, s::TrackingStatus::Delivered).await?;
        Ok(shipment)
    }
}
