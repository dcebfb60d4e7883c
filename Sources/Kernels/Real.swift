import CPlatform

/// Real functions of the C library.
package enum Real {
    package static func exp(_ x: Double) -> Double { CPlatform.exp(x) }
    package static func exp(_ x: Float) -> Float { CPlatform.expf(x) }
    package static func expm1(_ x: Float) -> Float { CPlatform.expm1f(x) }
    package static func sin(_ x: Double) -> Double { CPlatform.sin(x) }
    package static func cos(_ x: Double) -> Double { CPlatform.cos(x) }
    package static func log(_ x: Float) -> Float { CPlatform.logf(x) }
    package static func log1p(_ x: Float) -> Float { CPlatform.log1pf(x) }
    package static func log1p(_ x: Double) -> Double { CPlatform.log1p(x) }
    package static func tanh(_ x: Float) -> Float { CPlatform.tanhf(x) }
    package static func erfc(_ x: Float) -> Float { CPlatform.erfcf(x) }
    package static func pow(_ x: Float, _ y: Float) -> Float { CPlatform.powf(x, y) }
    package static func pow(_ x: Double, _ y: Double) -> Double { CPlatform.pow(x, y) }
    package static func atan2(_ y: Float, _ x: Float) -> Float { CPlatform.atan2f(y, x) }
    package static func remainder(_ x: Float, _ y: Float) -> Float { CPlatform.fmodf(x, y) }
}
