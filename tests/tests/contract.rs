//! Every service keeps the contract: it serves what it should and nothing else, tells of it by reflection, is
//! healthy, and speaks grpc-web.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use oms::suite::SERVICES;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1::{ListChannelsRequest, ListChannelsResponse};
use oms_service::PeerError;
use oms_tests::shop::channel;
use oms_tests::suite::TestSuite;
use oms_tests::wire::{Wire, frame};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// Served by every service.
const BY_ALL: [&str; 2] = [
    "oms.audit.v1.AuditService",
    "oms.events.v1.EventFeedService",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_service_keeps_the_contract() -> anyhow::Result<()> {
    let suite = TestSuite::start().await?;
    let known = channel(
        "web",
        oms_proto::order::v1::PaymentPolicy::AuthThenCaptureOnShip,
    );
    suite.upsert_channel(known).await?;
    for (service, _) in SERVICES {
        let wire = Wire::connect(suite.suite.url(service)?).await?;
        implements(service, &wire).await?;
        tells(service, &wire).await?;
        is_healthy(service, &wire).await?;
    }
    browsers_can_call(&suite).await?;
    suite.finish().await
}

/// The gRPC services of the contract that a service serves.
fn expected(service: &str) -> BTreeSet<String> {
    let package = format!("oms.{service}.v1.");
    oms_proto::METHODS
        .iter()
        .filter_map(|(path, _)| path.trim_start_matches('/').split('/').next())
        .filter(|name| name.starts_with(&package) || BY_ALL.contains(name))
        .map(str::to_owned)
        .collect()
}

/// Every method of its own is there, and no other's is. An empty request reaches no effect.
async fn implements(service: &str, wire: &Wire) -> anyhow::Result<()> {
    let own = expected(service);
    ensure!(own.len() > BY_ALL.len(), "{service} has nothing to serve");
    for (path, _) in oms_proto::METHODS {
        let name = path.trim_start_matches('/').split('/').next();
        let is_own = name.is_some_and(|name| own.contains(name));
        let failure = wire.call(path, frame(b""), "user:test").await?;
        let Some(error) = failure.map(PeerError::from) else {
            ensure!(is_own, "{service} serves {path}");
            continue;
        };
        let missing = error.code() == Code::Unimplemented;
        ensure!(is_own != missing, "{service} answers {path} with {error}");
        ensure!(error.reason().is_some(), "{path} gives no reason: {error}");
        ensure!(
            !matches!(
                error.code(),
                Code::Internal | Code::Unknown | Code::Unavailable
            ),
            "{path} does not take an empty request: {error}"
        );
        ensure!(
            !missing || error.reason() == Some(ErrorReason::Unimplemented),
            "{path}: {error}"
        );
    }
    Ok(())
}

/// Asks reflection something.
async fn ask(wire: &Wire, question: MessageRequest) -> anyhow::Result<MessageResponse> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let requests = futures::stream::iter([request]);
    let mut client = ServerReflectionClient::new(wire.channel());
    let mut answers = client.server_reflection_info(requests).await?.into_inner();
    let answer = answers.message().await?.context("no answer")?;
    answer.message_response.context("an empty answer")
}

/// Reflection lists what is served, and describes each of it.
async fn tells(service: &str, wire: &Wire) -> anyhow::Result<()> {
    let answer = ask(wire, MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(list) = answer else {
        anyhow::bail!("{service} answers {answer:?}");
    };
    let told: BTreeSet<String> = list.service.into_iter().map(|one| one.name).collect();
    let ours: BTreeSet<String> = told
        .iter()
        .filter(|name| name.starts_with("oms."))
        .cloned()
        .collect();
    ensure!(ours == expected(service), "{service} tells of {told:?}");
    ensure!(
        told.contains("grpc.health.v1.Health"),
        "{service} tells of {told:?}"
    );
    for name in ours {
        let question = MessageRequest::FileContainingSymbol(name.clone());
        let answer = ask(wire, question).await?;
        let MessageResponse::FileDescriptorResponse(files) = answer else {
            anyhow::bail!("{service} does not describe {name}: {answer:?}");
        };
        ensure!(!files.file_descriptor_proto.is_empty(), "{name}");
    }
    Ok(())
}

/// The service as a whole and each gRPC service of it are SERVING.
async fn is_healthy(service: &str, wire: &Wire) -> anyhow::Result<()> {
    let mut client = HealthClient::new(wire.channel());
    let mut names = expected(service);
    names.insert(String::new());
    for name in names {
        let request = HealthCheckRequest {
            service: name.clone(),
        };
        let answer = client
            .check(request)
            .await
            .with_context(|| format!("{service} does not know {name:?}"))?;
        let status = answer.into_inner().status();
        ensure!(
            status == ServingStatus::Serving,
            "{name:?} of {service} is {status:?}"
        );
    }
    Ok(())
}

/// A browser's call: grpc-web over HTTP/1.1.
async fn browsers_can_call(suite: &TestSuite) -> anyhow::Result<()> {
    let url = suite.suite.url("order")?;
    let body = frame(&ListChannelsRequest::default().encode_to_vec());
    let head = format!(
        "POST /oms.order.v1.ChannelService/ListChannels HTTP/1.1\r\nhost: localhost\r\n\
         connection: close\r\ncontent-length: {}\r\ncontent-type: application/grpc-web+proto\r\n\
         origin: http://localhost:3000\r\noms-principal: user:browser\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let (head, body) = http_answer(&answer)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    ensure!(
        head.contains("access-control-allow-origin: *"),
        "other origins are refused: {head}"
    );
    let (flag, message, rest) = web_frame(&body)?;
    ensure!(flag == 0, "the first frame is no message");
    let channels = ListChannelsResponse::decode(message)?.channels;
    let ids: Vec<&str> = channels.iter().map(|one| one.channel_id.as_str()).collect();
    ensure!(ids == ["web"], "{ids:?}");
    let (flag, trailers, rest) = web_frame(rest)?;
    ensure!(flag == 0x80 && rest.is_empty(), "trailers end the answer");
    let trailers = std::str::from_utf8(trailers)?;
    ensure!(trailers.contains("grpc-status:0"), "{trailers:?}");
    Ok(())
}

/// Head and body of an HTTP/1.1 answer that came in chunks or in one piece.
fn http_answer(answer: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("no end of the head")?;
    let head = String::from_utf8(answer.get(..end).unwrap_or_default().to_vec())?.to_lowercase();
    let head = head.replacen("http/1.1", "HTTP/1.1", 1);
    let mut rest = answer.get(end + 4..).unwrap_or_default();
    if !head.contains("transfer-encoding: chunked") {
        return Ok((head, rest.to_vec()));
    }
    let mut body = Vec::new();
    loop {
        let line = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .context("no chunk")?;
        let size = std::str::from_utf8(rest.get(..line).unwrap_or_default())?;
        let size = usize::from_str_radix(size.trim(), 16)?;
        if size == 0 {
            return Ok((head, body));
        }
        let chunk = rest
            .get(line + 2..line + 2 + size)
            .context("a short chunk")?;
        body.extend(chunk);
        rest = rest
            .get(line + 2 + size + 2..)
            .context("no end of the chunk")?;
    }
}

/// Flag and content of the first frame, and what follows it.
fn web_frame(bytes: &[u8]) -> anyhow::Result<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(5).context("no frame")?;
    let (flag, length) = head.split_first().context("no frame")?;
    let length = u32::from_be_bytes(length.try_into()?);
    let (content, rest) = rest
        .split_at_checked(usize::try_from(length)?)
        .context("a short frame")?;
    Ok((*flag, content, rest))
}
