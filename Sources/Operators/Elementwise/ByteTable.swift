import Kernels
import Model

/// What a table of 256 entries makes of each byte: operators that the compiler has run for all of them.
package enum ByteTable {
    package static func definition(_ table: [UInt8]) -> OperatorDefinition {
        OperatorDefinition(.custom, custom: "BYTE_TABLE", maxVersion: 1, inPlace: true, shapes: Unary.shapes) {
            op throws(Failure) in
            guard table.count == 256, try op.input(0).type.bits == 8, try op.output().type.bits == 8 else {
                throw op.unsupportedTypes()
            }
            op.finish = try .lookUp(table)
            return Unary.lookUp(table)
        }
    }
}
