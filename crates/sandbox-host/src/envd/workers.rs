//! Threads for what blocks: started at boot, so that a sandbox that used up its processes can
//! still be read and written.

use std::io;

use tokio::sync::oneshot;

use super::credentials;
use super::users::User;

const COUNT: usize = 3;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed set of threads; each runs one operation at a time.
#[derive(Debug)]
pub(crate) struct Workers {
    jobs: std::sync::mpsc::SyncSender<Job>,
}

impl Workers {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::sync_channel::<Job>(1024);
        let queue = std::sync::Arc::new(parking_lot::Mutex::new(queue));
        for _ in 0..COUNT {
            let queue = std::sync::Arc::clone(&queue);
            std::thread::Builder::new().name("files".into()).stack_size(512 << 10).spawn(
                move || {
                    loop {
                        let Ok(job) = queue.lock().recv() else { return };
                        job();
                    }
                },
            )?;
        }
        Ok(Self { jobs })
    }

    /// Runs `operation` on a thread, as root.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || {
            let _caller_gone = answer.send(operation());
        });
        self.jobs.try_send(job).map_err(|_full| io::Error::from(io::ErrorKind::ResourceBusy))?;
        result.await.map_err(|_panicked| io::Error::other("the operation did not end"))
    }

    /// Runs `operation` on a thread with the file-system credentials of `user`.
    pub(crate) async fn run_as<T: Send + 'static>(
        &self,
        user: &User,
        operation: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let user = user.clone();
        self.run(move || credentials::as_user(&user, operation)?).await?
    }
}
