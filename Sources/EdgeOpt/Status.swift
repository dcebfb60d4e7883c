import CEdgeOpt
import CKernels
import CPlatform
import Model

@c @implementation
public func eo_status_name(_ status: eo_status) -> UnsafePointer<CChar>! {
    unsafe platform_status_name(status.rawValue)
}

@c @implementation
public func eo_status_message(_ status: eo_status) -> UnsafePointer<CChar>! {
    unsafe platform_status_message(status.rawValue)
}

@c @implementation
public func eo_last_error() -> UnsafePointer<CChar>! { unsafe platform_error() }

@c @implementation
public func eo_version() -> UnsafePointer<CChar>! { unsafe platform_version() }

@c @implementation
public func eo_isa() -> UnsafePointer<CChar>! { unsafe kernels_isa_name() }

@c @implementation
public func eo_free(_ memory: UnsafeMutableRawPointer!) { unsafe platform_free(memory) }

/// Names of the element types as C strings, by the schema's number.
@safe private struct TypeNames: @unchecked Sendable {
    private let memory = CMemory()
    let names: [UnsafePointer<CChar>?]

    init() {
        let memory = self.memory
        unsafe names = (UInt8(0)..<64).map { number in
            unsafe TensorType(rawValue: number).flatMap { unsafe memory.string($0.name) }
        }
    }
}
private let typeNames = TypeNames()

@c @implementation
public func eo_type_name(_ type: eo_type) -> UnsafePointer<CChar>! {
    let index = Int(type.rawValue)
    return unsafe typeNames.names.indices.contains(index) ? typeNames.names[index] : nil
}
