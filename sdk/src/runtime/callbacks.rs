//! Callbacks that modules of both kinds have, written once.

/// The methods of `Guest` that are not about a stream's content, for a type with `plugins`.
macro_rules! common_callbacks {
    () => {
        fn on_vm_start(&self, _context: u32, _configuration_size: usize) -> bool {
            true
        }

        fn on_configure(&self, context: u32, size: usize) -> bool {
            self.plugins.on_configure(context, size)
        }

        fn on_tick(&self, context: u32) {
            self.plugins.on_tick(context);
        }

        fn on_queue_ready(&self, _context: u32, _queue: u32) {}

        fn on_http_call_response(
            &self,
            context: u32,
            token: u32,
            headers: usize,
            body_size: usize,
            trailers: usize,
        ) {
            let runtime = &self.plugins.runtime;
            runtime.enter(context, || {
                runtime.answers.on_http(token, headers, body_size, trailers);
                runtime.drain();
            });
        }

        fn on_grpc_initial_metadata(&self, _context: u32, _token: u32, _headers: usize) {}

        fn on_grpc_receive(&self, context: u32, token: u32, message_size: usize) {
            let runtime = &self.plugins.runtime;
            runtime.enter(context, || {
                runtime.answers.on_grpc_message(token, message_size);
                runtime.drain();
            });
        }

        fn on_grpc_trailing_metadata(&self, _context: u32, _token: u32, _trailers: usize) {}

        fn on_grpc_close(&self, context: u32, token: u32, status: u32) {
            let runtime = &self.plugins.runtime;
            runtime.enter(context, || {
                runtime.answers.on_grpc_close(token, status);
                runtime.drain();
            });
        }

        fn on_redis_reply(&self, context: u32, token: u32, status: u32, size: usize) {
            let runtime = &self.plugins.runtime;
            runtime.enter(context, || {
                runtime.answers.on_redis(token, status, size);
                runtime.drain();
            });
        }

        fn on_done(&self, _context: u32) -> bool {
            true
        }

        fn on_log(&self, context: u32) {
            let runtime = &self.plugins.runtime;
            if let Some(stream) = runtime.stream(context)
                && stream.minds_its_end()
            {
                runtime.enter(context, || stream.run_at_end());
            }
        }

        fn on_delete(&self, context: u32) {
            self.plugins.on_delete(context);
        }
    };
}

pub(crate) use common_callbacks;
