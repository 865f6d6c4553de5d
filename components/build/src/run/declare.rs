//! What a command depends on, for the cache. Contents of secrets and of cache mounts, proxies and what the network gives are not among it, as in
//! BuildKit.

use steprun_dockerfile::instruction::{Network, Run};
use steprun_dockerfile::mount::{Mount, MountKey, MountSpec};
use steprun_ports::{Failure, Host};

use super::command::Command;
use crate::cache::Inputs;
use crate::copy::Producer;
use crate::instruction::Step;
use crate::stage::Stage;

impl<H: Host + 'static> Step<'_, H> {
    /// Declares a command: what is run, as whom, and what it sees.
    ///
    /// # Errors
    /// Mounts that make no sense, files that can't be read; each with its place.
    pub(super) async fn declare_command(
        &self,
        stage: &Stage<H>,
        run: &Run,
        command: &Command,
        mounts: &[Mount],
    ) -> Result<Inputs, Failure> {
        let mut inputs = self.inputs("RUN", stage);
        inputs.add("platform", stage.config.platform().to_string());
        inputs.add_all("command", command.arguments.iter().map(String::as_str));
        inputs.add_all("script", command.file.iter().map(|file| file.content.as_str()));
        for (name, value) in stage.scope.variables().iter() {
            inputs.add(format!("variable {name}"), value);
        }
        inputs.add("user", stage.config.container().user.as_deref().unwrap_or_default());
        inputs.add("working directory", stage.config.working_directory());
        let network = match run.network {
            Network::Default => "default",
            Network::None => "none",
            Network::Host => "host",
        };
        inputs.add("--network", network);
        for (number, mount) in run.mounts.iter().zip(mounts).enumerate() {
            self.declare_mount(stage, number, mount, &mut inputs).await?;
        }
        Ok(inputs)
    }

    async fn declare_mount(
        &self,
        stage: &Stage<H>,
        number: usize,
        (spec, mount): (&MountSpec, &Mount),
        inputs: &mut Inputs,
    ) -> Result<(), Failure> {
        for field in &spec.fields {
            // What has no value was told when the mount was resolved.
            let value = match &field.value {
                Some(word) => stage.scope.variables().expand(self.text(), word)?.0,
                None => String::new(),
            };
            // How builds share a cache, or whether a secret must be there, changes nothing that a command sees.
            if !matches!(field.key, MountKey::Sharing | MountKey::Required | MountKey::From) {
                inputs.add(format!("mount {number} {:?}", field.key), value);
            }
        }
        let source = match mount {
            Mount::Bind { source, .. } => source,
            Mount::Cache { source, .. } if spec.from().is_some_and(|word| !word.raw.is_empty()) => source,
            Mount::Cache { .. } | Mount::Tmpfs { .. } | Mount::Secret { .. } | Mount::Ssh { .. } => return Ok(()),
        };
        match self.mounted(spec).await? {
            Producer::Context { context, .. } => context.declare_below(source, inputs).await,
            Producer::Files { key, .. } => {
                inputs.add(format!("mount {number} from"), key.as_str());
                Ok(())
            }
        }
    }
}
