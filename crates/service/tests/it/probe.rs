//! A service that exists only here: `HoldService`, whose `order_id` says what shall happen.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use oms_core::Violations;
use oms_proto::common::v1::{ErrorReason, Shortage};
use oms_proto::events::v1::GetHeadRequest;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_proto::order::v1::hold_service_server::{HoldService, HoldServiceServer};
use oms_proto::order::v1::{
    Hold, ListHoldsRequest, ListHoldsResponse, PlaceHoldRequest, PlaceHoldResponse,
    ReleaseHoldRequest, ReleaseHoldResponse,
};
use oms_service::{
    ApiError, Common, PeerChannel, PeerError, Program, Setup, Unproved, fingerprint,
};
use serde::Deserialize;
use sqlx::migrate::Migrator;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

pub(crate) static MIGRATOR: Migrator = sqlx::migrate!("tests/migrations");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    common: Common,
    background_fails: bool,
}

pub(crate) struct Probe;

impl Program for Probe {
    type Config = Config;
    const NAME: &'static str = "order";
    const DEFAULTS: &'static str = r#"
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        # Whether work in the background panics.
        background_fails = false
        [database]
        url = "postgres://localhost/oms_order"
    "#;

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        let peer = setup.peer("inventory").ok();
        setup.serve(HoldServiceServer::new(Api { peer }));
        setup.serve_http(webhooks());
        if config.background_fails {
            setup.background("doomed", |_| tokio::spawn(async { panic!("as told") }));
        }
        Ok(())
    }
}

/// A webhook whose body is its signature.
fn webhooks() -> Router {
    let receive = |body: String| async move {
        if body == "signed" {
            return "taken".into_response();
        }
        let mut refused = (StatusCode::UNAUTHORIZED, "refused").into_response();
        refused.extensions_mut().insert(Unproved);
        refused
    };
    Router::new().route("/webhooks/probe", post(receive))
}

/// Where calls of `wait:<name>` stand until a permit is given.
pub(crate) fn gate(name: &str) -> Arc<Semaphore> {
    static GATES: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);
    let mut gates = GATES.lock().unwrap();
    let gate = gates.entry(name.to_owned());
    Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(0))))
}

struct Api {
    peer: Option<PeerChannel>,
}

impl Api {
    async fn act(&self, what: &str, principal: String, timeout: &str) -> Result<String, Status> {
        let answer = match what.split_once(':').unwrap_or((what, "")) {
            ("echo", _) => principal,
            // The time that every hop is given, from here on.
            ("timeouts", _) => match self.peer.clone() {
                None => timeout.to_owned(),
                Some(channel) => {
                    let mut peer = HoldServiceClient::new(channel);
                    let answer = peer.place_hold(crate::support::tell(what)).await?;
                    format!("{timeout} {}", crate::support::note(answer.into_inner()))
                }
            },
            ("wait", name) => {
                gate(&format!("{name}/entered")).add_permits(1);
                let gate = gate(name);
                gate.acquire().await.unwrap().forget();
                "waited".to_owned()
            }
            ("shortage", _) => {
                let shortage = Shortage {
                    sku: "A".to_owned(),
                    requested: 3,
                    ..Shortage::default()
                };
                return Err(ApiError::out_of_stock([shortage]).into());
            }
            ("violations", _) => {
                let mut violations = Violations::default();
                violations.push("order_id", "FIELD_MALFORMED", "must be a UUID");
                violations.push("note", "FIELD_OUT_OF_RANGE", "is too long");
                return Err(ApiError::from(violations).into());
            }
            ("secret", _) => return Err(Status::internal("select * from secrets")),
            ("panic", _) => panic!("as told"),
            ("head", _) => {
                let channel = self.peer.clone().unwrap();
                let mut client = EventFeedServiceClient::new(channel);
                let head = client.get_head(GetHeadRequest {}).await;
                let peer_failed = |status| PeerError::from(status).into_api_error("inventory");
                head.map_err(peer_failed)?.into_inner().pos.to_string()
            }
            _ => return Err(ApiError::not_found("order", what).into()),
        };
        Ok(answer)
    }
}

#[tonic::async_trait]
impl HoldService for Api {
    async fn place_hold(
        &self,
        request: Request<PlaceHoldRequest>,
    ) -> Result<Response<PlaceHoldResponse>, Status> {
        let principal = oms_service::principal(&request).to_string();
        let timeout = request.metadata().get("grpc-timeout");
        let timeout = timeout.map(|value| value.to_str().unwrap().to_owned());
        let what = &request.get_ref().order_id;
        let note = self
            .act(what, principal, &timeout.unwrap_or_default())
            .await?;
        let hold = Some(Hold {
            note,
            ..Hold::default()
        });
        Ok(Response::new(PlaceHoldResponse { hold }))
    }

    async fn release_hold(
        &self,
        _: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        Err(ApiError::failed_precondition(ErrorReason::NotPacked, "never").into())
    }

    async fn list_holds(
        &self,
        request: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let filter = fingerprint(&ListHoldsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        });
        let after = oms_service::PageToken::decode::<i64>(&request.page_token, &filter)?;
        let next = after.unwrap_or(0) + size;
        Ok(Response::new(ListHoldsResponse {
            holds: Vec::new(),
            next_page_token: oms_service::PageToken::encode(&next, &filter),
        }))
    }
}
