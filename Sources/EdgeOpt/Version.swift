import CEdgeOpt
import Quantization
import Operators
import Model

@c @implementation
public func eo_version() -> UnsafePointer<CChar>! { unsafe UnsafePointer(StaticString("0.1.0").utf8Start).withMemoryRebound(to: CChar.self, capacity: 6) { unsafe $0 } }
@c @implementation
public func eo_isa() -> UnsafePointer<CChar>! { OperatorRegistry.definition(.init(.abs)) == nil ? nil : nil }
