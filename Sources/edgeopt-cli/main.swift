import CEdgeOpt
import CFormats

print(String(cString: eo_version()))
