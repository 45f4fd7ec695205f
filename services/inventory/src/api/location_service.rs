//! `LocationService`.

use oms_core::geo::Point;
use oms_core::{LocationId, Violations};
use oms_proto::inventory::v1::location_service_server::LocationService;
use oms_proto::inventory::v1::{
    self as pb, GetLocationRequest, GetLocationResponse, ListLocationsRequest,
    ListLocationsResponse, UpsertLocationRequest, UpsertLocationResponse,
};
use oms_service::{ApiError, PageToken};
use tonic::{Request, Response, Status};

use crate::commands;
use crate::domain::location::Location;
use crate::messages;
use crate::queries;

use super::error::About;
use super::{Api, call, checks, take_request_id};

#[tonic::async_trait]
impl LocationService for Api {
    async fn upsert_location(
        &self,
        request: Request<UpsertLocationRequest>,
    ) -> Result<Response<UpsertLocationResponse>, Status> {
        let principal = oms_service::principal(&request);
        let mut request = request.into_inner();
        let mut violations = Violations::default();
        let request_id = take_request_id(&mut request.request_id, &mut violations);
        let location = location(request.location.clone(), &mut violations);
        let (Some(request_id), Some(location), true) =
            (request_id, location, violations.is_empty())
        else {
            return Err(ApiError::from(violations).into());
        };
        let call = call(principal, "UpsertLocation", request_id, &request);
        let written = commands::upsert_location(&self.ctx, call, location)
            .await
            .map_err(|error| {
                About {
                    reservation: "",
                    request_id,
                }
                .status(error)
            })?;
        let location = Some(messages::location(&written));
        Ok(Response::new(UpsertLocationResponse { location }))
    }

    async fn get_location(
        &self,
        request: Request<GetLocationRequest>,
    ) -> Result<Response<GetLocationResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let id: Option<LocationId> =
            checks::required("location_id", &request.location_id, &mut violations);
        let Some(id) = id else {
            return Err(ApiError::from(violations).into());
        };
        // As if there were no other places.
        if !access.locations.permits(id.as_str()) {
            return Err(ApiError::not_found("location", &id).into());
        }
        let found = queries::get_location(&self.ctx.db, &id)
            .await
            .map_err(ApiError::from)?;
        let found = found.ok_or_else(|| ApiError::not_found("location", &id))?;
        let location = Some(messages::location(&found));
        Ok(Response::new(GetLocationResponse { location }))
    }

    async fn list_locations(
        &self,
        request: Request<ListLocationsRequest>,
    ) -> Result<Response<ListLocationsResponse>, Status> {
        let access = oms_service::access(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = oms_service::page_size(request.page_size, &mut violations);
        violations.into_result().map_err(ApiError::from)?;
        let filter = oms_service::fingerprint(&ListLocationsRequest::default());
        let after: Option<String> = PageToken::decode(&request.page_token, &filter)?;
        let page =
            queries::list_locations(&self.ctx.db, access.locations.names(), after, size).await;
        let page = page.map_err(ApiError::from)?;
        let next = page.next.map(|after| PageToken::encode(&after, &filter));
        Ok(Response::new(ListLocationsResponse {
            locations: page.rows.iter().map(messages::location).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

fn location(given: Option<pb::Location>, violations: &mut Violations) -> Option<Location> {
    let Some(given) = given else {
        violations.push("location", checks::REQUIRED, "must not be empty");
        return None;
    };
    let id = checks::required("location.location_id", &given.location_id, violations);
    let name = checks::text("location.name", given.name.trim(), 1..=100, violations);
    let address = checks::address(given.address, violations);
    for (field, degrees, most) in [
        ("location.latitude", given.latitude, 90.0),
        ("location.longitude", given.longitude, 180.0),
    ] {
        // Not a number is in no range.
        let fits = (-most..=most).contains(&degrees);
        let message = format!("must be -{most} to {most} degrees");
        violations.check(fits, field, checks::OUT_OF_RANGE, message);
    }
    Some(Location {
        id: id?,
        name,
        address,
        point: Point {
            lat: given.latitude,
            lon: given.longitude,
        },
        active: given.active,
        version: 0,
    })
}
