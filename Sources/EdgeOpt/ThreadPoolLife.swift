import CEdgeOpt
import Kernels
import Model

@c @implementation
public func eo_thread_pool_create(
    _ options: UnsafePointer<eo_thread_pool_options>!, _ pool: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(pool, "pool")
        unsafe place.pointee = nil
        let given = try unsafe EdgeOpt.options(options, defaults: eo_thread_pool_options())
        let threads = try threadCount(unsafe given.num_threads, in: "eo_thread_pool_create")
        guard let loop = unsafe given.parallel_for else {
            unsafe place.pointee = handle(try ThreadPool(threads: threads))
            return
        }
        let user = unsafe given.user
        unsafe place.pointee = handle(
            try ThreadPool(threads: threads) { count, task, context in unsafe loop(user, count, task, context) })
    }
}

@c @implementation
public func eo_thread_pool_destroy(_ pool: OpaquePointer!) {
    unsafe release(pool, as: ThreadPool.self)
}
