import ArgumentParser
import CEdgeOpt

/// In what float32 layers compute, where the processor is fast at it.
enum Precision: String, ExpressibleByArgument, CaseIterable {
    case float32, bfloat16

    var number: eo_precision { self == .bfloat16 ? EO_PRECISION_BFLOAT16 : EO_PRECISION_FLOAT32 }
}
