use std::time::Duration;

use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo as _, Pipeline,
    ProtocolVersion, RedisFuture, RedisResult, Value,
};

/// A connection to one server, or to all of a cluster. Cloning it is cheap.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::One(connection) => connection.req_packed_command(cmd),
            Connection::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::One(connection) => connection.req_packed_commands(cmd, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::One(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Where the servers are.
#[derive(Clone, Debug)]
pub(super) enum Servers {
    One(ConnectionInfo),
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String },
    Cluster(Vec<ConnectionInfo>),
}

impl Servers {
    pub(super) fn new(
        urls: &[String],
        sentinel: Option<String>,
        cluster: bool,
    ) -> RedisResult<Self> {
        let infos = urls.iter().map(|url| {
            let info = url.as_str().into_connection_info()?;
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            Ok(info.set_redis_settings(settings))
        });
        let mut infos = infos.collect::<RedisResult<Vec<_>>>()?;
        Ok(match sentinel {
            Some(master) => Servers::Sentinel { sentinels: infos, master },
            None if cluster => Servers::Cluster(infos),
            None => Servers::One(infos.swap_remove(0)),
        })
    }

    pub(super) fn are_a_cluster(&self) -> bool {
        matches!(self, Servers::Cluster(_))
    }

    /// Connects. What the server sends without having been asked goes to `pushes`.
    pub(super) async fn connect(
        &self,
        timeout: Duration,
        pushes: impl AsyncPushSender,
    ) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        match self {
            Servers::One(info) => {
                let client = Client::open(info.clone())?;
                let config = config.set_push_sender(pushes);
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Ok(Connection::One(connection.await?))
            }
            Servers::Sentinel { sentinels, master } => {
                let client = sentinel_client(sentinels, master)?.async_get_client().await?;
                let config = config.set_push_sender(pushes);
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Ok(Connection::One(connection.await?))
            }
            Servers::Cluster(infos) => {
                let client = ClusterClientBuilder::new(infos.clone())
                    .use_protocol(ProtocolVersion::RESP3)
                    // A node that does not answer keeps the others waiting.
                    .connection_timeout(timeout.min(Duration::from_secs(1)))
                    .response_timeout(timeout)
                    .push_sender(pushes)
                    .build()?;
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
        }
    }
}

/// The user, password and database of the first URL are those of the master.
fn sentinel_client(sentinels: &[ConnectionInfo], master: &str) -> RedisResult<SentinelClient> {
    let addresses = sentinels.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some(settings) = sentinels.first().map(ConnectionInfo::redis_settings) {
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
    }
    builder.build()
}
